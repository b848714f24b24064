import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limoflow.errors import MissingDependency, StackError, UsageError
from limoflow.stack import commands
from limoflow.stack.commands import down, scale, wait_for_state
from limoflow.stack.processes import ProcessSpec, wait_until
from limoflow.stack.state import holder, members, read_state, sweep
from limoflow.stack.supervised import RestartPolicy
from limoflow.stack.supervisor import Service, Supervisor
from tests.unit.stack.stack_children import FOREVER, STUBBORN, alive, spec

HANG_GUARD_S = 60.0
HERE = Path(__file__).resolve().parent
STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@contextlib.contextmanager
def stack(folder: Path, workers: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own, ready."""
    command = [sys.executable, HERE / "supervise.py", folder, folder / "notes", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as supervisor:
        try:
            assert wait_for_state(folder, lambda state: state.phase == "running", HANG_GUARD_S)
            yield supervisor
        finally:
            supervisor.kill()
            supervisor.communicate()
            sweep(read_state(folder).stack_id)


def pids(folder: Path, service: str) -> list[int]:
    return [process.pid for process in read_state(folder).of(service)]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_ends_everything_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    with stack(tmp_path, workers=2) as supervisor:
        stack_id = read_state(tmp_path).stack_id
        assert len(members(stack_id)) == 5
        runaway = int((tmp_path / "runaway.pid").read_text())
        supervisor.send_signal(number)
        assert supervisor.wait(HANG_GUARD_S) == 0
        assert members(stack_id) == []
        assert not alive(runaway)
    stopped = [line for line in (tmp_path / "notes").read_text().splitlines() if line.endswith("stopped")]
    assert sorted(stopped[:2]) == ["worker-0 stopped", "worker-1 stopped"]
    assert stopped[2:] == ["anchor stopped"]
    state = read_state(tmp_path)
    assert (state.phase, state.error) == ("stopped", "")


def test_a_killed_supervisor_takes_its_processes_along_and_down_ends_the_rest(tmp_path: Path) -> None:
    with stack(tmp_path) as supervisor:
        state = read_state(tmp_path)
        children = [process.pid for process in state.processes]
        runaway = int((tmp_path / "runaway.pid").read_text())
        supervisor.kill()
        supervisor.wait()
        assert wait_until(lambda: not any(alive(pid) for pid in children), HANG_GUARD_S)
        assert holder(tmp_path) is None
        assert members(state.stack_id) == [runaway]
        assert down(tmp_path)
        assert members(state.stack_id) == []
        assert not down(tmp_path)


def test_the_next_supervisor_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    with stack(tmp_path) as supervisor:
        left = read_state(tmp_path).stack_id
        supervisor.kill()
        supervisor.wait()
        with Supervisor(tmp_path):
            assert members(left) == []


def test_down_stops_a_running_stack(tmp_path: Path) -> None:
    with stack(tmp_path) as supervisor:
        assert down(tmp_path, HANG_GUARD_S)
        assert supervisor.wait(HANG_GUARD_S) == 0
        assert members(read_state(tmp_path).stack_id) == []


def test_a_second_supervisor_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with stack(tmp_path) as supervisor:
        before = read_state(tmp_path)
        with (
            pytest.raises(UsageError, match=rf"already runs in .*supervisor {supervisor.pid}.*limoflow down"),
            Supervisor(tmp_path),
        ):
            pass
        assert read_state(tmp_path) == before
        assert holder(tmp_path) == supervisor.pid


def test_a_killed_process_comes_back_and_the_others_do_not_notice(tmp_path: Path) -> None:
    with stack(tmp_path) as supervisor:
        (worker,), (anchor,) = pids(tmp_path, "worker"), pids(tmp_path, "anchor")
        os.kill(worker, signal.SIGKILL)

        def back() -> bool:
            (state,) = read_state(tmp_path).of("worker")
            return state.pid != worker and state.phase == "ready"

        assert wait_until(back, HANG_GUARD_S)
        (state,) = read_state(tmp_path).of("worker")
        assert (state.restarts, state.last_exit, state.name) == (1, -signal.SIGKILL, "worker-0")
        assert pids(tmp_path, "anchor") == [anchor]
        assert supervisor.poll() is None


def test_scaling_up_and_down_while_it_runs(tmp_path: Path) -> None:
    with stack(tmp_path):
        first = pids(tmp_path, "worker")
        scale(tmp_path, "worker", 3, HANG_GUARD_S)
        state = read_state(tmp_path)
        assert [process.name for process in state.of("worker")] == ["worker-0", "worker-1", "worker-2"]
        three = pids(tmp_path, "worker")
        assert three[:1] == first
        assert all(alive(pid) for pid in three)
        scale(tmp_path, "worker", 1, HANG_GUARD_S)
        assert pids(tmp_path, "worker") == first
        assert not any(alive(pid) for pid in three[1:])
        notes = (tmp_path / "notes").read_text()
        assert "worker-1 stopped" in notes
        assert "worker-2 stopped" in notes
        assert "worker-0 stopped" not in notes
        assert not list((tmp_path / "commands").iterdir())


@pytest.mark.parametrize(
    ("service", "replicas", "message"),
    [
        ("wroker", 2, r"'wroker' is not a service that can be scaled \(those are: worker\)"),
        ("anchor", 2, "'anchor' is not a service"),
        ("worker", -1, "from 0 to 64"),
        ("worker", 65, "from 0 to 64"),
    ],
)
def test_a_command_that_cannot_be_is_answered_with_the_reason(
    tmp_path: Path, service: str, replicas: int, message: str
) -> None:
    with stack(tmp_path) as supervisor:
        with pytest.raises(UsageError, match=message):
            scale(tmp_path, service, replicas)
        (tmp_path / "commands" / "broken.json").write_text("{")
        answer = tmp_path / "commands" / "broken.answer"
        assert wait_until(answer.exists, HANG_GUARD_S)
        assert "not a command" in json.loads(answer.read_text())["error"]
        assert supervisor.poll() is None


def test_commands_are_obeyed_by_the_supervising_thread(tmp_path: Path) -> None:
    service = Service("worker", lambda index: spec(tmp_path, name=f"worker-{index}"))

    def ask() -> list[int]:
        counts = []
        for replicas in (3, 0, 2):
            scale(tmp_path, "worker", replicas, HANG_GUARD_S)
            counts.append(len(members(read_state(tmp_path).stack_id)))
        with pytest.raises(UsageError, match="from 0 to 64"):
            scale(tmp_path, "worker", 65)
        with pytest.raises(UsageError, match="'wroker' is not a service"):
            scale(tmp_path, "wroker", 1)
        return counts

    with Supervisor(tmp_path) as supervisor, ThreadPoolExecutor(1) as pool:
        supervisor.start([service])
        asked = pool.submit(ask)
        supervisor.run(until=asked.done)
    assert asked.result() == [3, 0, 2]


def test_a_replica_that_cannot_be_started_is_answered_with_the_reason(tmp_path: Path) -> None:
    def make(index: int) -> ProcessSpec:
        name = f"worker-{index}"
        return ProcessSpec(name, ("no-such-program",), {}, tmp_path / "log") if index else spec(tmp_path, name=name)

    with Supervisor(tmp_path) as supervisor, ThreadPoolExecutor(1) as pool:
        supervisor.start([Service("worker", make)])
        asked = pool.submit(scale, tmp_path, "worker", 2)
        supervisor.run(until=asked.done)
        assert len(members(read_state(tmp_path).stack_id)) == 1
    assert "no-such-program" in str(asked.exception())


def test_a_supervisor_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_ANSWER_TIMEOUT_S", 0.2)
    with Supervisor(tmp_path):
        with pytest.raises(StackError, match=r"did not answer within 0\.2 s"):
            scale(tmp_path, "worker", 2)
        assert not list((tmp_path / "commands").iterdir())


def test_replicas_that_do_not_get_ready_are_an_error(tmp_path: Path) -> None:
    service = Service("worker", lambda index: spec(tmp_path, name=f"worker-{index}", ready=lambda: index == 0))
    with Supervisor(tmp_path) as supervisor, ThreadPoolExecutor(1) as pool:
        supervisor.start([service])
        asked = pool.submit(scale, tmp_path, "worker", 2, 0.5)
        supervisor.run(until=asked.done)
    assert "worker does not have 2 ready processes after 0.5 s" in str(asked.exception())


def test_scaling_needs_a_running_stack(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stack runs in"):
        scale(tmp_path / "nowhere", "worker", 2)


def test_down_without_a_stack_does_nothing(tmp_path: Path) -> None:
    assert not down(tmp_path / "nowhere")


@pytest.mark.timeout(60)  # a tenth of the grace time that would pass otherwise
def test_a_second_request_to_stop_does_not_wait_for_the_grace_time(tmp_path: Path) -> None:
    trapped = tmp_path / "trapped"
    stubborn = spec(tmp_path, STUBBORN, trapped, name="stubborn", ready=trapped.exists, stop_grace_s=600.0)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([Service.single(stubborn)])
        (pid,) = pids(tmp_path, "stubborn")
        # The second signal comes from a child that sees the first one's effect in the state file.
        impatient = (
            "import json, os, pathlib, sys, time\n"
            "while json.loads(pathlib.Path(sys.argv[1]).read_text())['phase'] != 'stopping': time.sleep(0.02)\n"
            "os.kill(os.getppid(), 15)"
        )
        helper = subprocess.Popen([sys.executable, "-c", impatient, tmp_path / "state.json"])
        os.kill(os.getpid(), signal.SIGTERM)
        supervisor.run()
    helper.wait(HANG_GUARD_S)
    assert not alive(pid)


def test_a_process_that_keeps_ending_fails_the_start_with_its_last_words_and_stops_the_rest(tmp_path: Path) -> None:
    broken = spec(tmp_path, "import sys; sys.exit('port taken')", name="broken", ready=lambda: False)
    good = Service.single(spec(tmp_path, name="good"))
    with (
        pytest.raises(StackError, match=r"(?s)broken ended with code 1.*port taken"),
        Supervisor(tmp_path, RestartPolicy(0.01, 0.01)) as supervisor,
    ):
        supervisor.start([good, Service.single(broken)])
    state = read_state(tmp_path)
    assert members(state.stack_id) == []
    assert state.phase == "failed"
    assert "port taken" in state.error
    assert (tmp_path / "logs" / "broken.log").read_text().count("port taken") == 3


def test_a_process_that_is_never_ready_fails_the_start(tmp_path: Path) -> None:
    slow = spec(tmp_path, name="slow", ready=lambda: False, ready_timeout_s=0.5)
    with (
        pytest.raises(StackError, match=r"slow was not ready within 0\.5 s"),
        Supervisor(tmp_path) as supervisor,
    ):
        supervisor.start([Service.single(slow)])
    assert members(read_state(tmp_path).stack_id) == []


def test_a_missing_program_fails_the_start(tmp_path: Path) -> None:
    ghost = ProcessSpec("ghost", ("no-such-program",), {}, tmp_path / "log")
    with pytest.raises(MissingDependency, match="ghost"), Supervisor(tmp_path) as supervisor:
        supervisor.start([Service.single(spec(tmp_path, name="good")), Service.single(ghost)])
    assert members(read_state(tmp_path).stack_id) == []


def test_one_crash_before_it_is_ready_is_forgiven(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    program = (
        "import pathlib, sys\nwith open(sys.argv[1], 'a') as starts: starts.write('x')\n"
        f"len(pathlib.Path(sys.argv[1]).read_text()) < 2 and sys.exit(1)\n{FOREVER}"
    )
    shaky = spec(tmp_path, program, starts, name="shaky", ready=lambda: starts.read_text() == "xx")
    with Supervisor(tmp_path, RestartPolicy(0.01, 0.01)) as supervisor:
        supervisor.start([Service.single(shaky)])
        (state,) = read_state(tmp_path).of("shaky")
        assert (state.phase, state.restarts) == ("ready", 1)


def test_a_job_that_ends_well_counts_as_started(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(
            [Service.single(spec(tmp_path, "print('done')", name="job", ready=lambda: False, restart=False))]
        )
        (state,) = read_state(tmp_path).of("job")
        assert (state.phase, state.last_exit) == ("ended", 0)


def test_a_job_that_fails_fails_the_start(tmp_path: Path) -> None:
    job = spec(tmp_path, "raise SystemExit(9)", name="job", ready=lambda: False, restart=False)
    with pytest.raises(StackError, match="job ended with code 9"), Supervisor(tmp_path) as supervisor:
        supervisor.start([Service.single(job)])


def test_a_stop_signal_during_the_start_interrupts_it(tmp_path: Path) -> None:
    slow = spec(tmp_path, name="slow", ready=lambda: os.kill(os.getpid(), signal.SIGTERM) is not None)
    with pytest.raises(KeyboardInterrupt), Supervisor(tmp_path) as supervisor:
        supervisor.start([Service.single(slow)])
    state = read_state(tmp_path)
    assert state.phase == "stopped"
    assert members(state.stack_id) == []


def test_signal_handlers_come_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with Supervisor(tmp_path):
        assert [signal.getsignal(number) for number in STOP_SIGNALS] != before
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_state_file_that_cannot_be_read_is_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"processes": 3}')
    with pytest.raises(StackError, match="not a state file"), Supervisor(tmp_path):
        pass
    assert holder(tmp_path) is None


def test_run_ends_when_its_condition_holds(tmp_path: Path) -> None:
    asked = []
    with Supervisor(tmp_path) as supervisor:
        supervisor.run(until=lambda: asked.append(1) or len(asked) == 3)
    assert len(asked) == 3
