import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from limoflow.errors import MissingDependency, StackError
from limoflow.stack.processes import ManagedProcess, ProcessSpec, log_tail, running, wait_until
from tests.unit.stack.stack_children import FOREVER, PARENT, STUBBORN, alive, python, spec

HANG_GUARD_S = 30.0


def test_a_process_runs_with_its_own_variables_and_log(tmp_path: Path) -> None:
    program = "import os; print(os.environ['GIVEN'], os.environ['PATH'])"
    process = ManagedProcess(spec(tmp_path, program, env={"GIVEN": "value"}))
    assert process.pid is None
    assert process.poll() is None
    process.start()
    assert wait_until(lambda: process.poll() == 0, HANG_GUARD_S)
    assert process.spec.log_path.read_text() == f"value {os.environ['PATH']}\n"


def test_the_log_of_an_earlier_life_is_kept(tmp_path: Path) -> None:
    process = ManagedProcess(spec(tmp_path, "print('once more')"))
    for _ in range(2):
        process.start()
        assert wait_until(lambda: process.poll() == 0, HANG_GUARD_S)
    assert process.spec.log_path.read_text() == "once more\nonce more\n"


def test_sigterm_is_enough_for_an_ordinary_process(tmp_path: Path) -> None:
    process = ManagedProcess(spec(tmp_path))
    process.start()
    assert process.stop() == -signal.SIGTERM
    assert not alive(process.pid)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    trapped = tmp_path / "trapped"
    with running(spec(tmp_path, STUBBORN, trapped, ready=trapped.exists, stop_grace_s=0.2)) as process:
        pass
    assert process.poll() == -signal.SIGKILL
    assert not alive(process.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_rest_of_the_group_goes_with_its_leader(tmp_path: Path, number: signal.Signals) -> None:
    grandchild = tmp_path / "grandchild.pid"
    with running(spec(tmp_path, PARENT, grandchild, ready=grandchild.exists)) as process:
        pid = int(grandchild.read_text())
        assert alive(pid)
        os.kill(process.pid, number)
        assert wait_until(lambda: process.poll() == -number, HANG_GUARD_S)
        assert wait_until(lambda: not alive(pid), HANG_GUARD_S)


def test_a_process_dies_with_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from limoflow.stack.processes import *\n"
        "process = ManagedProcess(ProcessSpec('child', tuple(sys.argv[1:]), {}, Path('child.log')))\n"
        "process.start(); print(process.pid, flush=True); time.sleep(600)"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        python(program, *python(FOREVER)),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    ) as parent:
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
        assert wait_until(lambda: not alive(child), HANG_GUARD_S)


def test_it_cannot_be_started_twice(tmp_path: Path) -> None:
    with running(spec(tmp_path)) as process, pytest.raises(StackError, match=f"already runs as process {process.pid}"):
        process.start()


def test_a_missing_program_is_a_missing_dependency(tmp_path: Path) -> None:
    process = ManagedProcess(ProcessSpec("ghost", ("no-such-program",), {}, tmp_path / "log"))
    with pytest.raises(MissingDependency, match="ghost: 'no-such-program'"):
        process.start()


def test_a_file_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\0")
    program.chmod(0o755)
    with pytest.raises(StackError, match="cannot start"):
        ManagedProcess(ProcessSpec("odd", (str(program),), {}, tmp_path / "log")).start()


def test_what_a_process_left_behind_is_cleaned_before_the_start_and_after_the_end(tmp_path: Path) -> None:
    leftover = tmp_path / "leftover"
    leftover.touch()
    program = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); print(p.exists()); p.touch()"
    process = ManagedProcess(spec(tmp_path, program, leftover, clean=lambda: leftover.unlink(missing_ok=True)))
    process.start()
    assert wait_until(lambda: process.poll() == 0, HANG_GUARD_S)
    assert process.spec.log_path.read_text() == "False\n"
    assert not leftover.exists()


def test_a_process_that_ends_instead_of_getting_ready_is_reported_with_its_last_words(tmp_path: Path) -> None:
    last_words = spec(tmp_path, "import sys; print('no such model'); sys.exit(7)", ready=lambda: False)
    with pytest.raises(StackError, match=r"(?s)child ended with code 7.*no such model"), running(last_words):
        pass


def test_a_process_that_is_too_slow_is_reported_and_stopped(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = "import os, pathlib, sys, signal; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\nsignal.pause()"
    slow = spec(tmp_path, program, pid_file, ready=lambda: False, ready_timeout_s=1.0)
    with pytest.raises(StackError, match="was not ready within 1 s"), running(slow):
        pass
    assert not alive(int(pid_file.read_text()))


def test_log_tail_gives_the_last_lines_of_any_bytes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(20_000)))
    assert log_tail(log, 2) == "line 19998 \ufffd\nline 19999 \ufffd"
    assert log_tail(tmp_path / "none") == ""


def test_stopping_what_never_started_does_nothing(tmp_path: Path) -> None:
    process = ManagedProcess(ProcessSpec("idle", (sys.executable,), {}, tmp_path / "log"))
    assert process.stop() is None
    process.kill()
    assert process.pid is None
