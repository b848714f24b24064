"""The untrusted program's own process: take its rights and limits, then become it."""

from __future__ import annotations

import atexit
import fcntl
import functools
import io
import os
import platform
import resource
import signal
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from services.verifier.sandbox.inside.seccomp import inner_filter
from services.verifier.sandbox.inside.system import drop_privileges, filter_calls, hide_memory

SCRIPT = "main.py"
NOT_STARTED = 127
_LAST_DESCRIPTOR = 1 << 20
_MOST_TIMERS = 1024
# gVisor's kernel lets nobody set these; of message queues a job has none anyhow.
_NOT_IN_GVISOR = {resource.RLIMIT_MSGQUEUE, resource.RLIMIT_SIGPENDING}
_RESERVED = 32 << 30  # bounds the page tables of a mapping that is read here and there: 4 KiB for 2 MiB of addresses


@functools.cache
def call_filter() -> bytes:
    """Return the filter of jobs on this machine; the server asks first, so that no run pays for it."""
    return inner_filter(platform.machine())


def restrict(limits: Mapping[str, Any], python: bool, others: int) -> None:
    """Give up every right and take the limits.

    Parameters
    ----------
    limits : mapping
        Fields of `interface.Limits`.
    python : bool
        Whether the address space is bounded too; runtimes that reserve more than they use (V8, Go, the JVM) are bounded
        by what they can write to, and by what is resident.
    others : int
        Processes of the box that count against the limit of processes and are not the job's.
    """
    memory, seconds = limits["memory_bytes"], int(limits["cpu_seconds"]) + 2
    bounds = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_NPROC: limits["processes"] + others,
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_FSIZE: limits["disk_bytes"],
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: _MOST_TIMERS,
        resource.RLIMIT_AS: memory if python else memory + _RESERVED,
    }
    for what, bound in bounds.items():
        hard = resource.getrlimit(what)[1]
        lower = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        try:
            resource.setrlimit(what, (lower, lower))
        except ValueError:
            if what not in _NOT_IN_GVISOR:
                raise
    drop_privileges()
    filter_calls(call_filter())


def place_descriptors(stdin: int, stdout: int, stderr: int, peer: int | None) -> None:
    """Make them 0, 1, 2 and 3, and close every other one."""
    wanted = [stdin, stdout, stderr] + ([] if peer is None else [peer])
    lifted = [_lifted(descriptor) for descriptor in wanted]
    for number, descriptor in enumerate(lifted):
        os.dup2(descriptor, number, inheritable=True)
    os.closerange(len(wanted), _LAST_DESCRIPTOR)


def _lifted(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD, 16)


def become(command: Sequence[str]) -> NoReturn:
    """Replace this process by a program; exits 127 where it cannot be started."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - there is no shell between
    except (OSError, ValueError) as error:
        os.write(2, f"cannot start {command[0]!r}: {error}\n".encode(errors="replace"))
        os._exit(NOT_STARTED)


def interpret(source: str) -> NoReturn:
    """Run Python source as `__main__` in this interpreter and end as an interpreter of its own would."""
    hide_memory(hidden=False)
    _fresh_interpreter()
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=SCRIPT, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    code = _ran(source, module.__dict__)
    os._exit(_finished(code))


def _fresh_interpreter() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "services"]:
        del sys.modules[name]
    sys.path[0] = os.getcwd()
    sys.argv = [SCRIPT]
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r")), "utf-8", "surrogateescape")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), "utf-8", "surrogateescape")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(  # type: ignore[misc]
        io.BufferedWriter(io.FileIO(2, "w")), "utf-8", "backslashreplace", line_buffering=True
    )
    threading.stack_size(1 << 20)


def _ran(source: str, names: dict[str, Any]) -> int:
    try:
        exec(compile(source, SCRIPT, "exec", dont_inherit=True), names)  # noqa: S102 - what the sandbox is for
    except SystemExit as end:
        return _exit_code(end.code)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        _report()
        return 1
    return 0


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _report() -> None:
    try:
        sys.excepthook(*sys.exc_info())
    except BaseException:  # noqa: BLE001 - a hook of the program's that fails changes nothing
        os.write(2, b"the program's own excepthook failed\n")


def _finished(code: int) -> int:
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - as the interpreter does: 120 where the last output is lost
        return code or 120
    return code
