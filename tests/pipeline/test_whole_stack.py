"""The whole stack as a user meets it: real Kafka, Triton and processes, through the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from examples.demo import released_refs
from examples.demo_lake import planted_in_release, read_faults
from examples.demo_lake.lake import FAULTS_FILE, build_lake
from limoflow.stack.state import members
from tests.support.local_flow import rows, write_lake
from tests.support.prometheus import NEED_A_FAULT, Prometheus, need_prometheus, prometheus_found, silent_queries
from tests.support.stack import REPOSITORY, Stack, running_stack, until

STAGES = {"generator", "verifier", "scorer"}
RUN = ("run", str(REPOSITORY / "examples" / "demo.yaml"), "select.target=60", "train.max_length=96")

pytestmark = [pytest.mark.kafka, pytest.mark.triton, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("whole")
    build_lake(folder / "lake", 600)
    observe = ["--observe"] if prometheus_found() else []
    with running_stack(folder / "home", folder, "--workers", "generator=2", *observe) as running:
        running.command(*RUN)
        yield running


def test_a_run_ends_with_an_audited_release_and_an_adapter(stack: Stack) -> None:
    again = stack.command(*RUN)
    assert "audit passed" in again
    assert "dead-lettered" in again
    (release,) = [one for one in stack.releases() if one.seed == 7]
    assert len(release.rows) == 60
    adapters = list(stack.home.adapters.glob("*/*/adapter_model.safetensors"))
    assert len(adapters) == 1, "the same spec submitted twice is one run"
    assert release.run_id in stack.command("status")
    assert "handled" in stack.command("status", release.run_id)
    assert "audit passed" in stack.command("audit", release.run_id)


def test_hardly_any_planted_fault_reaches_the_release(stack: Stack) -> None:
    (release,) = [one for one in stack.releases() if one.seed == 7]
    faults = read_faults(stack.home.root.parent / "lake" / FAULTS_FILE)
    reached = planted_in_release(faults, released_refs(release))
    assert len(faults) > 60
    assert sum(reached.values()) < 0.02 * len(release.rows), reached


def test_a_sample_and_a_release_are_explained(stack: Stack) -> None:
    (release,) = [one for one in stack.releases() if one.seed == 7]
    told = stack.command("explain", release.rows[0].id)
    assert "samples.finalized" in told
    assert f"chosen for {release.release_id}" in told
    assert release.release_id in stack.command("release", "list")
    assert json.loads(stack.command("release", "show", release.run_id))["release_id"] == release.release_id
    assert "0 out, 0 in" in stack.command("release", "diff", release.run_id, release.release_id)
    stack.command("release", "export", release.release_id, "-o", str(stack.home.root / "again"), "--format", "alpaca")
    (alpaca,) = (stack.home.root / "again").glob("**/alpaca.json")
    assert len(json.loads(alpaca.read_text(encoding="utf-8"))) == 60


def test_dead_letters_are_listed_shown_and_replayed(stack: Stack) -> None:
    listed = stack.command("dlq", "list", "--stage", "ingestor").splitlines()
    assert listed
    sample_id = listed[0].split()[0]
    assert sample_id in stack.command("dlq", "show", sample_id)
    assert re.search(r"left [1-9]\d* that came from files", stack.command("dlq", "replay", sample_id))


def stages_of(prometheus: Prometheus, counter: str) -> set[str]:
    """The stages of which it was above 0 of late; one scrape may have failed."""
    return {one["metric"]["stage"] for one in prometheus.query(f"max_over_time({counter}[10m]) > 0")}


def test_every_query_of_every_panel_and_rule_returns_data(stack: Stack) -> None:
    need_prometheus()
    stack.command("run", str(REPOSITORY / "examples" / "demo.yaml"), "select.target=61", "seed=8", "train=null")
    prometheus = Prometheus(f"127.0.0.1:{stack.process('prometheus').ports['prometheus']}")
    until(lambda: not silent_queries(prometheus) - NEED_A_FAULT.keys(), 60.0, "data for every query")
    # Nobody hides behind the list: what a healthy run shows is not on it.
    assert silent_queries(prometheus) <= NEED_A_FAULT.keys()
    transactional = {"ingestor", "selector", "selector-merge", "exporter", "trainer"}
    assert stages_of(prometheus, "limoflow_commit_seconds_count") == {*STAGES, *transactional}
    assert stages_of(prometheus, "limoflow_handled_total") >= {*STAGES, *transactional} - {"ingestor"}
    assert stages_of(prometheus, "limoflow_rejected_total") >= {"verifier", "selector"}


def test_prometheus_follows_the_processes_of_the_stack(stack: Stack) -> None:
    need_prometheus()
    prometheus = Prometheus(f"127.0.0.1:{stack.process('prometheus').ports['prometheus']}")
    wanted = {process.name for process in stack.state.processes if process.service not in ("kafka", "prometheus")}

    def reached() -> bool:
        return {one["metric"]["instance"] for one in prometheus.query("up == 1")} >= wanted

    until(reached, 60.0, f"a scrape of {sorted(wanted)}")


def test_a_service_is_scaled_while_it_runs(stack: Stack) -> None:
    stack.command("scale", "verifier", "2")
    assert [process.phase for process in stack.state.of("verifier")] == ["ready", "ready"]
    stack.command("scale", "verifier", "1")
    assert "audit passed" in stack.command(*RUN, "seed=8", "train=null")


def test_a_stopped_run_ends_with_what_was_scored(stack: Stack) -> None:
    folder = stack.home.root.parent
    write_lake(folder / "stopped", "a.jsonl", rows(40))
    spec = {
        "name": "followed",
        "sources": [{"path": "stopped/lake/*.jsonl", "follow": True, "settle_seconds": 0}],
        "score": {"ifd": None},
        "select": {"target": 10},
    }
    (folder / "followed.yaml").write_text(json.dumps(spec), encoding="utf-8")
    (run_id,) = re.findall(r"run (\S+) submitted", stack.command("run", str(folder / "followed.yaml"), "--detach"))
    until(lambda: re.search(r"admitted +40\b", stack.command("status", run_id)) is not None, 120.0, "40 rows")
    assert f"{run_id} is stopping" in stack.command("stop", run_id)
    until(lambda: f"{run_id}  finished" in stack.command("status", run_id), 120.0, "the end of the run")
    assert "stopped after 40 rows, by `limoflow stop`" in stack.command("status", run_id)
    assert "audit passed" in stack.command("audit", run_id)


def test_a_second_stack_in_the_same_home_is_refused(stack: Stack) -> None:
    process = stack.start("up", "--detach")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "already" in output


def test_an_unknown_broker_is_a_clear_error(tmp_path: Path) -> None:
    environment = {**os.environ, "LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "limoflow.cli", "status"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1]


def test_an_interrupted_demo_leaves_no_process_and_no_half_release(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "demo", tmp_path)
    command = [sys.executable, "-m", "examples.demo", "--folder", str(tmp_path / "demo"), "--rows", "600"]
    # A shell's background jobs, and so these tests in one, are started deaf to Ctrl-C.
    hearing = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=stack.environment,
        start_new_session=True,
        preexec_fn=hearing,  # noqa: PLW1509 - no other thread runs here
    )
    state_file = stack.home.stack / "state.json"
    until(lambda: state_file.exists() and bool(stack.state.of("triton")), 120.0, "the start of the stack")
    stack_id = stack.state.stack_id
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=180) == 130
    until(lambda: not members(stack_id), 60.0, "the end of every process")
    assert not [path for path in stack.home.releases.glob("**/*") if path.name.startswith(".")]
