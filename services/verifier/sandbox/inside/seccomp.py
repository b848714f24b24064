"""Filters of system calls, as classic BPF programs for x86-64 and aarch64; pure.

Two of them: OUTER for everything in the box, INNER, which also refuses what only the fork server may do, for jobs.
Calls numbered from 424 on (the same on all architectures) are refused unless named here, so that what a newer kernel
adds is not there for a job.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_X32 = 0x40000000
_FIRST_UNIFIED = 424
_NEW_NAMESPACE_FLAGS = 0x7E020080  # CLONE_NEW*: mount, cgroup, UTS, IPC, user, PID, network, time
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

# (name, x86-64, aarch64); -1 where the architecture has no such call.
_NEVER = (
    ("ptrace", 101, 117),
    ("process_vm_readv", 310, 270),
    ("process_vm_writev", 311, 271),
    ("kcmp", 312, 272),
    ("bpf", 321, 280),
    ("perf_event_open", 298, 241),
    ("userfaultfd", 323, 282),
    ("add_key", 248, 217),
    ("request_key", 249, 218),
    ("keyctl", 250, 219),
    ("init_module", 175, 105),
    ("finit_module", 313, 273),
    ("delete_module", 176, 106),
    ("kexec_load", 246, 104),
    ("kexec_file_load", 320, 294),
    ("reboot", 169, 142),
    ("swapon", 167, 224),
    ("swapoff", 168, 225),
    ("syslog", 103, 116),
    ("acct", 163, 89),
    ("settimeofday", 164, 170),
    ("clock_settime", 227, 112),
    ("clock_adjtime", 305, 266),
    ("adjtimex", 159, 171),
    ("quotactl", 179, 60),
    ("open_by_handle_at", 304, 265),
    ("name_to_handle_at", 303, 264),
    ("lookup_dcookie", 212, 18),
    ("iopl", 172, -1),
    ("ioperm", 173, -1),
    ("modify_ldt", 154, -1),
    ("uselib", 134, -1),
    ("vmsplice", 278, 75),
    ("move_pages", 279, 239),
    ("migrate_pages", 256, 238),
    ("mbind", 237, 235),
    ("set_mempolicy", 238, 237),
    ("fanotify_init", 300, 262),
    ("io_setup", 206, 0),
)
_ONLY_SERVER = (
    ("mount", 165, 40),
    ("umount2", 166, 39),
    ("pivot_root", 155, 41),
    ("chroot", 161, 51),
    ("unshare", 272, 97),
    ("setns", 308, 268),
    ("sethostname", 170, 161),
    ("setdomainname", 171, 162),
    ("socket", 41, 198),
    ("connect", 42, 203),
    ("bind", 49, 200),
    ("listen", 50, 201),
    ("accept", 43, 202),
    ("accept4", 288, 242),
    ("shmget", 29, 194),
    ("shmat", 30, 196),
    ("semget", 64, 190),
    ("msgget", 68, 186),
    ("mq_open", 240, 180),
    ("memfd_create", 319, 279),
    ("personality", 135, 92),
    ("setpriority", 141, 140),
    ("sched_setparam", 142, 118),
    ("sched_setscheduler", 144, 119),
    ("sched_setattr", 314, 274),
    ("ioprio_set", 251, 30),
)
# close_range, openat2, faccessat2, epoll_pwait2, futex_waitv: what current runtimes use of the newer calls.
_NEWER_ALLOWED = (436, 437, 439, 441, 449)
_CLONE = {"x86_64": 56, "aarch64": 220}
_IOCTL = {"x86_64": 16, "aarch64": 29}


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _refuse_if_number(numbers: Iterable[int], error: int) -> bytes:
    return b"".join(_instruction(_JUMP_EQUAL, number, 0, 1) + _refuse(error) for number in numbers)


def _head(machine: str) -> bytes:
    kill = _instruction(_RETURN, _KILL)
    program = _instruction(_LOAD, _ARCHITECTURE)
    program += _instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0) + kill
    program += _instruction(_LOAD, _NUMBER)
    if machine == "x86_64":  # the x32 calls would pass by the numbers
        program += _instruction(_JUMP_GREATER_EQUAL, _X32, 0, 1) + kill
    return program


def _numbers(table: Iterable[tuple[str, int, int]], machine: str) -> list[int]:
    column = 1 if machine == "x86_64" else 2
    return [number for row in table if isinstance(number := row[column], int) and number >= 0]


def _newer(allowed: Iterable[int]) -> bytes:
    # clone3 hides its flags behind a pointer; "no such call" makes the C library fall back to clone.
    body = b"".join(_instruction(_JUMP_EQUAL, number, 0, 1) + _instruction(_RETURN, _ALLOW) for number in allowed)
    body += _refuse(errno.ENOSYS)
    return _instruction(_JUMP_GREATER_EQUAL, _FIRST_UNIFIED, 0, len(body) // 8) + body


def _arguments(machine: str) -> bytes:
    clone = _instruction(_LOAD, _FIRST_ARGUMENT) + _instruction(_JUMP_SET, _NEW_NAMESPACE_FLAGS & ~0xFF, 0, 1)
    clone += _refuse(errno.EPERM) + _instruction(_RETURN, _ALLOW)
    ioctl = _instruction(_LOAD, _SECOND_ARGUMENT) + _refuse_if_number(_TERMINAL_INJECTION, errno.EPERM)
    ioctl += _instruction(_RETURN, _ALLOW)
    return b"".join(
        _instruction(_JUMP_EQUAL, number[machine], 0, len(body) // 8) + body
        for number, body in ((_CLONE, clone), (_IOCTL, ioctl))
    )


def outer_filter(machine: str) -> bytes:
    """Return the filter of the whole box, the fork server included.

    Parameters
    ----------
    machine : str
        As `platform.machine()` says: x86_64 or aarch64.

    Raises
    ------
    KeyError
        For another machine.
    """
    newer = _newer((*_NEWER_ALLOWED, 435))
    refused = _refuse_if_number(_numbers(_NEVER, machine), errno.EPERM)
    return _head(machine) + newer + refused + _instruction(_RETURN, _ALLOW)


def inner_filter(machine: str) -> bytes:
    """Return the filter of jobs: no sockets, namespaces, mounts, shared memory, tracing; see `outer_filter`."""
    refused = _refuse_if_number(_numbers((*_NEVER, *_ONLY_SERVER), machine), errno.EPERM)
    return _head(machine) + _newer(_NEWER_ALLOWED) + refused + _arguments(machine) + _instruction(_RETURN, _ALLOW)
