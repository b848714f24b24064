import os
import signal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from limoflow.stack.processes import wait_until
from limoflow.stack.supervised import Phase, RestartPolicy, SupervisedProcess
from tests.unit.stack.stack_children import STUBBORN, spec

HANG_GUARD_S = 30.0
POLICY = RestartPolicy(first_delay_s=1.0, largest_delay_s=8.0, calm_s=100.0)


def until(process: SupervisedProcess, phase: Phase, now: float) -> bool:
    """Tick at one moment of the given clock until the process (which lives in real time) has reached a phase."""

    def reached() -> bool:
        process.tick(now)
        return process.phase is phase

    return wait_until(reached, HANG_GUARD_S)


def crash(process: SupervisedProcess, now: float) -> None:
    os.kill(process.process.pid, signal.SIGKILL)
    assert until(process, Phase.BACKOFF, now)


@given(st.floats(0.01, 10), st.floats(1, 100), st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
def test_delays_grow_from_the_first_to_the_largest(first: float, factor: float, failures: list[int]) -> None:
    policy = RestartPolicy(first, first * factor)
    delays = [policy.delay_s(count) for count in sorted(failures)]
    assert delays == sorted(delays)
    assert all(first <= delay <= first * factor for delay in delays)
    assert policy.delay_s(1) == first


def test_a_crashed_process_comes_back_after_growing_delays(tmp_path: Path) -> None:
    process = SupervisedProcess(spec(tmp_path), POLICY)
    process.start(0.0)
    assert until(process, Phase.READY, 0.0)
    now = 0.0
    for restarts, delay in enumerate([1.0, 2.0, 4.0, 8.0, 8.0], start=1):
        crash(process, now)
        assert process.last_exit == -signal.SIGKILL
        process.tick(now + delay - 0.01)
        assert process.phase is Phase.BACKOFF
        now += delay
        assert until(process, Phase.READY, now)
        assert process.restarts == restarts
    process.stop(now)
    assert until(process, Phase.ENDED, now)


def test_a_calm_life_forgives_earlier_crashes(tmp_path: Path) -> None:
    process = SupervisedProcess(spec(tmp_path), POLICY)
    process.start(0.0)
    crash(process, 0.0)
    assert until(process, Phase.READY, 1.0)
    crash(process, 1.0 + POLICY.calm_s)
    assert process.failures == 1
    process.stop(200.0)
    assert process.phase is Phase.ENDED


def test_an_end_without_restart_is_final(tmp_path: Path) -> None:
    process = SupervisedProcess(spec(tmp_path, "raise SystemExit(4)", restart=False), POLICY)
    process.start(0.0)
    assert until(process, Phase.ENDED, 0.0)
    process.tick(1000.0)
    assert (process.phase, process.last_exit, process.restarts) == (Phase.ENDED, 4, 0)


def test_a_process_that_does_not_get_ready_is_killed_and_started_again(tmp_path: Path) -> None:
    process = SupervisedProcess(spec(tmp_path, ready=lambda: False, ready_timeout_s=5.0), POLICY)
    process.start(0.0)
    process.tick(4.9)
    assert process.phase is Phase.STARTING
    assert until(process, Phase.BACKOFF, 5.1)
    assert process.timed_out
    process.tick(6.2)
    assert process.phase is Phase.STARTING
    process.stop(6.2)
    assert until(process, Phase.ENDED, 6.2)


def test_a_stubborn_process_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    trapped = tmp_path / "trapped"
    process = SupervisedProcess(spec(tmp_path, STUBBORN, trapped, ready=trapped.exists, stop_grace_s=3.0), POLICY)
    process.start(0.0)
    assert until(process, Phase.READY, 0.0)
    process.stop(10.0)
    process.tick(12.9)
    assert process.phase is Phase.STOPPING
    assert until(process, Phase.ENDED, 13.0)
    assert process.last_exit == -signal.SIGKILL


def test_a_restart_that_the_system_refuses_is_tried_again_later(tmp_path: Path) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    process = SupervisedProcess(spec(tmp_path, cwd=folder), POLICY)
    process.start(0.0)
    folder.rename(tmp_path / "moved")
    crash(process, 0.0)
    process.tick(1.0)
    assert process.phase is Phase.BACKOFF
    assert process.failures == 2
    (tmp_path / "moved").rename(folder)
    assert until(process, Phase.READY, 3.0)
    process.stop(3.0)
    assert until(process, Phase.ENDED, 3.0)
