"""Every command in README and docs is run: here where it can be in a temporary folder, else by the test that is named.

Here: a run in this process, whose topics the commands read as they would a broker's. Names in capitals stand for what
that run has made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limoflow.cli import main
from limoflow.inference.fakes import FakeModels
from limoflow.wiring import layers
from tests.support.local_flow import LocalFlow, commanded_flow, only, planned, rows
from tests.support.stack import REPOSITORY

PROGRAMS = r"(?:limoflow|make|kubectl|docker|cp|rm|source|python -m|for)"
# What needs more than a temporary folder, with the test that runs it and the words by which it is known there.
ELSEWHERE = {
    r"limoflow up( --detach| --observe| --workers)*": ("tests/support/stack.py", '"up", "--detach"'),
    r"limoflow up --advertise HOST:PORT": ("benchmarks/soak/course.py", '"--advertise", address'),
    r"limoflow down": ("tests/support/stack.py", '"down"'),
    r"limoflow scale (STAGE N|generator 0|ingestor 0)": ("tests/pipeline/test_whole_stack.py", '"scale", "verifier"'),
    r"limoflow doctor": ("tests/unit/cli/test_commands.py", '["doctor"]'),
    r"make test": (".ci/run", "make test"),
    r"make demo": ("tests/pipeline/test_whole_stack.py", '"-m", "examples.demo"'),
    r"make test-chaos": ("Makefile", "pytest tests/chaos -m chaos"),
    r"make test-scale": ("Makefile", "tests/chaos/test_selector_at_scale.py"),
    r"make test-k8s": ("Makefile", "-m tests.deploy.cluster"),
    r"make (bench|study)": ("Makefile", "-m benchmarks"),
    r"make soak": ("Makefile", "-m benchmarks.soak"),
    r"make prometheus": ("Makefile", "test: bubblewrap venv venv-triton prometheus"),
    r"make fuzz": ("tests/fuzz/test_fuzz.py", "PARSERS"),
    r"make (supply|audit)": ("tests/deploy/test_licences.py", "licences.page(found)"),
    r"python -m deploy\.licences": ("tests/deploy/test_licences.py", "licences.page(found)"),
    r"python -m deploy\.k8s\.generate": ("tests/deploy/test_kubernetes.py", "generate"),
    r"python -m benchmarks.*": ("Makefile", "-m benchmarks"),
    r"cp -a --sparse=always \S+ \S+": ("tests/integration/test_backup.py", '"cp", "-a", "--sparse=always"'),
    r"rm -r \.limoflow/stack/kafka": ("tests/integration/test_backup.py", 'rmtree(tmp_path / "first")'),
    r"source \.venv/bin/activate": ("Makefile", "$(UV) venv --quiet --python $(PYTHON) .venv"),
    # On a real node by `make test-k8s`; by name, always, in test_operate_docs.
    r"(kubectl|docker|for) .*": ("tests/deploy/test_operate_docs.py", "def commands()"),
}
# The README names several subcommands at a time, without what they need.
BARE = {
    "apply score": "apply score IN.jsonl -o OUT.jsonl --run RUN.yaml",
    "audit": "audit RUN",
    "close": "close RUN",
    "stop": "stop RUN",
    "explain": "explain ID",
    "release show": "release show RELEASE",
    "release export": "release export RELEASE -o FOLDER",
    "dlq show": "dlq show LETTER",
    "dlq replay ID": "dlq replay LETTER",
    "dlq show ID": "dlq show LETTER",
}


def pages() -> list[Path]:
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def documented() -> set[str]:
    """Return every command, remarks and continuations cut off."""
    found = set()
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for line in re.findall(rf"(?m)^    ({PROGRAMS}\s.*)$", text) + re.findall(rf"`({PROGRAMS} [^`\n]+)`", text):
            command = re.split(r"\s{2,}|\s#", line)[0].strip()
            found |= set(_several(command)) if command.startswith("limoflow") else {command}
    return {command for command in found if command != "limoflow"}


def _several(command: str) -> Iterator[str]:
    """Yield the commands of `limoflow a | b` and of `limoflow group a | b`."""
    first, *others = re.split(r"\s+[|·]\s+", command)
    yield first
    words = first.split()
    group = words[:2] if len(words) > 2 and words[1] in {"release", "dlq", "schema", "models"} else words[:1]
    for other in others:
        yield " ".join([*group, other])


COMMANDS = sorted(documented())
HERE = [one for one in COMMANDS if not any(re.fullmatch(pattern, one) for pattern in ELSEWHERE)]


def test_what_is_not_run_here_is_run_where_it_says() -> None:
    for pattern, (place_of, words) in ELSEWHERE.items():
        assert any(re.fullmatch(pattern, command) for command in COMMANDS), f"no page names {pattern}"
        assert words in (REPOSITORY / place_of).read_text(encoding="utf-8"), f"{pattern}: not in {place_of}"


def test_there_are_commands_and_all_that_run_here_are_ours() -> None:
    assert len(HERE) > 15
    assert [command for command in HERE if not command.startswith("limoflow ")] == []


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFlow:
    monkeypatch.chdir(tmp_path)
    made = commanded_flow(tmp_path, monkeypatch)
    monkeypatch.setattr(layers, "in_process_models", lambda _: FakeModels())
    source = "sources: [{path: 'lake/*', domain: mathematics}]"
    (tmp_path / "run.yaml").write_text(f"name: small\n{source}\nscore: {{ifd: null}}\nselect: {{target: 9}}\n")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(5)))
    (tmp_path / "schemas").symlink_to(REPOSITORY / "schemas")
    return made


@pytest.mark.parametrize("command", HERE)
def test_a_documented_command_works(command: str, flow: LocalFlow, tmp_path: Path) -> None:
    release = only(flow.results(planned(tmp_path)))
    runner = CliRunner()
    letter = runner.invoke(main.app, ["dlq", "list"]).output.split()[0]
    names = {
        **{"RUN.yaml": "run.yaml", "IN.jsonl": "in.jsonl", "OUT.jsonl": "out.jsonl", "RUN": "flow-1"},
        **dict.fromkeys(("RELEASE", "A", "B", "OLD", "NEW"), release.release_id),
        **{"ID": release.rows[0].id, "LETTER": letter, "STAGE": "ingestor"},
        **{"FOLDER": str(tmp_path / "out"), "INDEX": str(tmp_path / "index")},
    }
    words = command.removeprefix("limoflow ")
    arguments = [names.get(word, word) for word in BARE.get(words, words).split() if word != "..."]
    if arguments[0] == "run" and "--local" not in arguments:
        arguments.append("--local")
    if arguments == ["run", "--local"]:
        arguments.append("run.yaml")
    result = runner.invoke(main.app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
