"""The command line without a broker: help, exit codes, files in and out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limoflow.cli import main
from limoflow.errors import LimoflowError, RunSpecError, UsageError
from limoflow.inference.fakes import FakeModels
from limoflow.progress_of import runs_of
from limoflow.settings import Home
from limoflow.spec_file import RECIPES
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit, Record
from limoflow.wiring import layers, plan
from schemas.identity import content_hash
from schemas.run import Run, RunSpec
from services.selector.explain import MEANING
from tests.support.local_flow import LocalFlow, commanded_flow, only, planned, rows, write_lake

SPEC = "name: small\nsources: [{path: 'lake/*.jsonl', domain: mathematics}]\nscore: {ifd: null}\nselect: {target: 9}\n"


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(main.app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMOFLOW_HOME", str(tmp_path / "home"))
    write_lake(tmp_path, "a.jsonl", rows(40))
    (tmp_path / "run.yaml").write_text(SPEC, encoding="utf-8")
    monkeypatch.setattr(layers, "in_process_models", lambda _: FakeModels())
    return tmp_path


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFlow:
    return commanded_flow(tmp_path, monkeypatch)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['limoflow', '--help']\n"
        "from limoflow.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'faust', 'confluent_kafka', 'transformers', 'pyarrow', 'numpy', 'httpx', 'tritonclient'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert "LOADED []" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "nowhere.yaml"], 2, "no such file"),
        (["status"], 2, "no stack runs"),
        (["apply", "verify", "nowhere.jsonl", "-o", "out.jsonl", "--run", "run.yaml"], 2, "cannot be read"),
        (["dlq", "list", "--stage", "cook"], 2, "no stack runs"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_to_do(lake: Path, arguments: list[str], code: int, words: str) -> None:
    command = [sys.executable, "-m", "limoflow.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=lake)
    assert done.returncode == code
    assert words in done.stderr


def test_a_spec_whose_sources_formats_or_checks_are_missing_is_refused(lake: Path) -> None:
    (lake / "bad.yaml").write_text(
        "name: bad\nsources: [{path: nothing/*.jsonl}]\nverify: {checks: {math_stepz: {}}}\n"
        "export: {formats: [papyrus]}\ngenerate: {strategies: [{kind: self_instruct}]}\n",
        encoding="utf-8",
    )
    with pytest.raises(LimoflowError) as caught:
        invoke("run", "bad.yaml")
    told = str(caught.value)
    assert all(word in told for word in ("nothing/*.jsonl", "math_stepz", "papyrus", "self_instruct"))


def test_a_local_run_prints_funnel_audit_and_folder(lake: Path) -> None:
    output = invoke("run", "run.yaml", "--local")
    assert "audit passed" in output
    (manifest,) = (lake / "home" / "releases").glob("small/*/*/manifest.json")
    assert str(manifest.parent) in output
    assert len(json.loads(manifest.read_bytes())["rows"]) == 9


def test_layers_work_file_to_file(lake: Path) -> None:
    wrong = {**rows(1, start=70)[0], "response": "2+2 = <<2+2=5>>5\n#### 5"}
    (lake / "in.jsonl").write_text("\n".join(json.dumps(row) for row in [*rows(30), wrong]), encoding="utf-8")
    told = invoke("apply", "generate", "in.jsonl", "-o", "g.jsonl", "--run", "run.yaml")
    assert "31  passed" in told
    told = invoke("apply", "verify", "g.jsonl", "-o", "v.jsonl", "--run", "run.yaml")
    assert "30  passed" in told
    refused = json.loads((lake / "v.rejected.jsonl").read_text())
    assert refused["metadata"]["filtering"]["reason"].startswith("math_steps:")
    invoke("apply", "score", "v.jsonl", "-o", "s.jsonl", "--run", "run.yaml")
    scored = [json.loads(line) for line in (lake / "s.jsonl").read_text().splitlines()]
    assert all(row["metadata"]["advanced_assessment"]["embedding"] for row in scored)
    invoke("apply", "select", "s.jsonl", "-o", "c.jsonl", "--run", "run.yaml")
    chosen = [json.loads(line) for line in (lake / "c.jsonl").read_text().splitlines()]
    assert [row["metadata"]["filtering"]["rank"] for row in chosen] == list(range(len(chosen))) or len(chosen) == 9
    assert len(chosen) == 9
    again = ("apply", "select", "s.jsonl", "-o", "d.jsonl", "--run", "run.yaml")
    invoke(*again, "select.diversity.strategy=facility_location", "select.curriculum.by=score")
    other = [json.loads(line)["metadata"]["filtering"] for line in (lake / "d.jsonl").read_text().splitlines()]
    assert len(other) == 9
    assert all(why["diversity_contribution"] >= 0.0 for why in other)
    with pytest.raises(LimoflowError, match=r"'k_centre' is unknown; known: .*k_center"):
        invoke(*again, "select.diversity.strategy=k_centre")


@pytest.mark.parametrize("recipe", [path.stem for path in sorted(RECIPES.glob("*.yaml"))])
@pytest.mark.parametrize("copied", [False, True], ids=["named", "copied"])
def test_every_recipe_goes_from_a_file_to_a_choice(lake: Path, recipe: str, copied: bool) -> None:
    samples = rows(30)
    (lake / "in.jsonl").write_text("\n".join(json.dumps(row) for row in samples), encoding="utf-8")
    for folder in ("model", "records"):
        (lake / folder).mkdir()
    (lake / "model" / "config.json").write_text("{}")
    records = [
        {"content_hash": content_hash(row["instruction"], row["response"]), "rewards": [0.2, 0.3 + place / 100]}
        for place, row in enumerate(samples)
    ]
    (lake / "records" / "rewards.jsonl").write_text("\n".join(json.dumps(one) for one in records))
    asked = {"cherry": "score.ifd.model=model", "superfiltering": "score.ifd.model=model"}
    asked["limr"] = "score.learning.rewards=records/rewards.jsonl"
    name = recipe
    if copied:
        (lake / "mine.yaml").write_text((RECIPES / f"{recipe}.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        name = "mine.yaml"
    settings = [f"recipe={name}", "select.target=5", *([asked[recipe]] if recipe in asked else [])]
    (lake / "run.yaml").write_text("name: small\nsources: [{path: 'nowhere/*.jsonl'}]\n")
    invoke("apply", "score", "in.jsonl", "-o", "s.jsonl", "--run", "run.yaml", *settings)
    told = invoke("apply", "select", "s.jsonl", "-o", "c.jsonl", "--run", "run.yaml", *settings)
    assert "5  passed" in told
    chosen = [json.loads(line)["metadata"]["filtering"] for line in (lake / "c.jsonl").read_text().splitlines()]
    refused = [
        json.loads(line)["metadata"]["filtering"] for line in (lake / "c.rejected.jsonl").read_text().splitlines()
    ]
    assert len(chosen) + len(refused) == 30
    assert all(why["score_parts"] and why["score"] is not None for why in chosen)
    assert all(why["reason"] in MEANING for why in refused)


def test_a_line_that_is_no_sample_is_named(lake: Path) -> None:
    (lake / "in.jsonl").write_text('{"instruction": "a question"}\n', encoding="utf-8")
    with pytest.raises(LimoflowError, match=r"in\.jsonl#0: is no sample"):
        invoke("apply", "verify", "in.jsonl", "-o", "v.jsonl", "--run", "run.yaml")
    assert not (lake / "v.jsonl").exists()


def test_nan_in_a_file_is_a_number_that_is_missing(lake: Path) -> None:
    lines = [
        json.dumps({"instruction": f"Say {n}", "response": f"{n}", "metadata": {"evaluations": {"own": score}}})
        for n, score in enumerate((0.5, float("nan"), float("inf"), None, 0.7))
    ]
    (lake / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    settings = ["score.weights={own: 1}", "select.near_duplicates=null"]
    invoke("apply", "select", "in.jsonl", "-o", "c.jsonl", "--run", "run.yaml", *settings)
    refused = [json.loads(line) for line in (lake / "c.rejected.jsonl").read_text().splitlines()]
    said = {(it["instruction"], it["metadata"]["filtering"]["reason"]) for it in refused}
    assert said == {(f"Say {n}", "unscored") for n in (1, 2, 3)}
    assert all(it["metadata"]["filtering"]["value"] == "no number: own" for it in refused)


def test_the_same_spec_is_the_same_run_and_fresh_is_another(lake: Path) -> None:
    from limoflow.spec_file import load_spec

    spec = load_spec(lake / "run.yaml")
    home = Home(lake / "home")
    first = plan.plan_run(spec, lake, home, tell=lambda _: None)
    again = plan.plan_run(spec, lake, home, tell=lambda _: None)
    other = plan.plan_run(spec, lake, home, tell=lambda _: None, nonce="x")
    assert first == again
    assert other.run_id != first.run_id


def test_a_run_whose_models_are_served_on_a_gpu_says_so_and_is_another_run(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limoflow.spec_file import load_spec

    spec, home = load_spec(lake / "run.yaml"), Home(lake / "home")

    def made(*, local: bool = False) -> Run:
        return plan.plan_run(spec, lake, home, tell=lambda _: None, local=local)

    on_cpu = made()
    monkeypatch.setenv("LIMOFLOW_MODELS_DEVICE", "cuda")
    on_gpu = made()
    assert "device" not in on_cpu.models
    assert on_gpu.models == on_cpu.models | {"device": "cuda"}
    assert on_gpu.run_id != on_cpu.run_id
    assert made(local=True) == on_cpu


def test_a_model_is_installed_for_the_device_that_the_models_are_served_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "causal"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    spec = RunSpec.model_validate(
        {"name": "sums", "sources": [{"path": "*"}], "score": {"ifd": {"model": str(folder)}}}
    )
    for device, kind in (("cpu", "KIND_CPU"), ("cuda", "KIND_GPU")):
        monkeypatch.setenv("LIMOFLOW_MODELS_DEVICE", device)
        home = Home(tmp_path / device)
        name = plan.plan_models(spec, tmp_path, home, lambda _: None)["ifd"]
        assert f"kind: {kind} " in (home.triton_repository / name / "config.pbtxt").read_text()


def test_status_audit_and_explain_read_the_topics(flow: LocalFlow, tmp_path: Path) -> None:
    run = planned(tmp_path)
    release = only(flow.results(run))
    assert "flow-1  finished" in invoke("status")
    assert "finalized             20" in invoke("status", "flow-1")
    assert "audit passed" in invoke("audit", "flow-1")
    told = invoke("explain", release.rows[0].id)
    assert "chosen: among the best of its stratum and unlike what was chosen before it (value 0" in told
    assert "samples.finalized" in told
    assert "at rank" in told
    with pytest.raises(LimoflowError, match="unknown; known: flow-1"):
        invoke("audit", "flow-2")
    with pytest.raises(LimoflowError, match="no sample 'nobody'"):
        invoke("explain", "nobody")


def test_releases_are_listed_shown_compared_and_exported(flow: LocalFlow, tmp_path: Path) -> None:
    release = only(flow.results(planned(tmp_path)))
    assert release.release_id in invoke("release", "list")
    assert json.loads(invoke("release", "show", release.release_id[:8]))["release_id"] == release.release_id
    assert "20 rows before, 20 after; 0 out, 0 in" in invoke("release", "diff", "flow-1", release.release_id)
    invoke("release", "export", "flow-1", "-o", str(tmp_path / "out"), "--format", "chat")
    assert list((tmp_path / "out").glob("**/chat.jsonl"))
    with pytest.raises(LimoflowError, match="no release"):
        invoke("release", "show", "zzz")


def test_dead_letters_are_listed_and_shown(flow: LocalFlow) -> None:
    listed = invoke("dlq", "list")
    assert "ingestor" in listed
    sample_id = listed.split()[0]
    assert invoke("dlq", "list", "--run", "flow-1") == listed
    assert invoke("dlq", "list", "--run", "flow-2") == ""
    assert "{broken" in invoke("dlq", "show", sample_id)
    assert "left 1 that came from files" in invoke("dlq", "replay")
    with pytest.raises(LimoflowError, match="no dead-letter topic"):
        invoke("dlq", "list", "--stage", "cook")


def test_a_refused_run_is_replayed_and_each_stage_has_its_own_letters(flow: LocalFlow) -> None:
    def letter(stage: str, topic: str, name: str) -> Emit:
        record = Record(topic, 0, 7, name.encode(), b"{}")
        return dead_letter(record, stage=stage, version="1", error=UsageError("over its quota"), attempts=1)

    flow.transport.sender.send(
        [
            letter("ingestor", "runs", "refused"),
            letter("selector", "samples.scored", "one"),
            # The second level of the selector has no topic of its own.
            replace(letter("selector-merge", "selector.pool", "two"), topic="dlq.selector"),
        ]
    )
    assert {line.split()[0] for line in invoke("dlq", "list", "--stage", "selector").splitlines()} == {"one", "two"}
    assert [line.split()[0] for line in invoke("dlq", "list", "--stage", "selector-merge").splitlines()] == ["two"]
    assert invoke("dlq", "replay", "refused") == "replayed 1\n"
    (back,) = [record for record in flow.transport.reader.read(["runs"]) if record.key == b"refused"]
    assert back.value == b"{}"


@pytest.mark.parametrize("follow", ["true", "false"])
@pytest.mark.parametrize("path", ["lake/**.jsonl", "s3://", "github://a/b", "http://[::1"])
def test_a_source_path_that_is_none_is_wrong_use(lake: Path, path: str, follow: str) -> None:
    text = SPEC.replace("lake/*.jsonl'", f"{path}', follow: {follow}")
    (lake / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RunSpecError, match=r"sources\[0\]: .*" + re.escape(path.partition("//")[2] or path)):
        invoke("run", "run.yaml", "--local")


def test_a_letter_that_cannot_be_read_or_is_forged_stops_no_other_and_is_told_of(flow: LocalFlow) -> None:
    def letter(topic: str, name: str) -> Emit:
        record = Record(topic, 0, 7, name.encode(), b"{}")
        return dead_letter(record, stage="scorer", version="1", error=UsageError("no"), attempts=1)

    flow.transport.sender.send(
        [Emit("dlq.scorer", b"broken", b"{}", ()), letter("runs", "forged"), letter("samples.verified", "good")]
    )
    told = "is no dead letter: it lacks the headers dlq_sampleid"
    runs = list(flow.transport.reader.read(["runs"]))
    listed = CliRunner().invoke(main.app, ["dlq", "list", "--stage", "scorer"])
    assert (listed.exit_code, [line.split()[0] for line in listed.stdout.splitlines()]) == (0, ["forged", "good"])
    assert told in listed.stderr
    assert "passed over: dlq.scorer[" in listed.stderr
    assert told in CliRunner().invoke(main.app, ["dlq", "show", "good"]).stderr
    replayed = CliRunner().invoke(main.app, ["dlq", "replay", "--stage", "scorer"])
    assert (replayed.exit_code, replayed.stdout) == (0, "replayed 1\n")
    assert told in replayed.stderr
    assert "came from 'runs'" in replayed.stderr
    assert list(flow.transport.reader.read(["runs"])) == runs
    assert [it for it in flow.transport.reader.read(["samples.verified"]) if it.key == b"good"]


@pytest.mark.parametrize(("command", "state"), [("close", "closing"), ("stop", "stopping")])
def test_the_end_of_a_run_is_announced_and_not_taken_back_by_its_spec(
    flow: LocalFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, state: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(SPEC, encoding="utf-8")
    invoke("run", "run.yaml", "--detach")
    (run_id,) = set(runs_of(flow.transport)) - {"flow-1"}
    assert invoke(command, run_id) == f"run {run_id} is {state}\n"
    assert "is finished already" in invoke(command, "flow-1")
    assert f"run {run_id} is {state} and is not submitted again" in invoke("run", "run.yaml", "--detach")
    assert {one.run_id: one.state for one in runs_of(flow.transport).values()} == {"flow-1": "open", run_id: state}
    assert "submitted" in invoke("run", "run.yaml", "--detach", "--fresh")


def test_the_contract_is_exported_and_checked(tmp_path: Path) -> None:
    assert "sample.v1.schema.json" in invoke("schema", "export", str(tmp_path / "json"))
    assert "unchanged" in invoke("schema", "check", str(tmp_path / "json"))
    path = tmp_path / "json" / "sample.v1.schema.json"
    path.write_text(path.read_text().replace('"instruction"', '"question"'))
    with pytest.raises(LimoflowError):
        invoke("schema", "check", str(tmp_path / "json"))


def test_doctor_looks_at_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMOFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("LIMOFLOW_TRITON_VENV", str(tmp_path / "no-venv"))
    result = CliRunner().invoke(main.app, ["doctor"])
    assert "MISSING" in result.output
    assert "venv-triton" in result.output
    assert isinstance(result.exception, LimoflowError)
    assert result.exception.exit_code == 3
