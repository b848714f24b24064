"""The calls to the kernel that Python 3.11 has no names for."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE = {"x86_64": 56, "aarch64": 220}
_NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000  # mount, UTS, IPC and PID
_NEW_NETWORK = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 1, 2, 4, 8, 4096
MS_REC, MS_PRIVATE = 0x4000, 0x40000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, _SECCOMP_MODE_FILTER = 47, 4, 2
_CAPABILITY_VERSION_3 = 0x20080522
_F_ADD_SEALS, _ALL_SEALS = 1033, 0xF


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(what: str, *numbers: int) -> None:
    _checked(_libc.prctl(*(ctypes.c_ulong(number) for number in (*numbers, 0, 0, 0, 0)[:5])), what)


def clone_into_namespaces() -> int:
    """Fork into new PID, mount, IPC and UTS namespaces; return the child's PID, 0 in the child.

    Raises
    ------
    OSError
        When the kernel refuses.
    """
    zero = ctypes.c_ulong(0)
    flags = ctypes.c_ulong(_NEW_NAMESPACES | signal.SIGCHLD)
    pid = _checked(_libc.syscall(_CLONE[platform.machine()], flags, zero, zero, zero, zero), "clone")
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    return pid


def leave_network() -> None:
    """Take this process and what it starts into a network namespace with nothing in it, not even a loopback.

    Raises
    ------
    OSError
        When the kernel refuses.
    """
    _checked(_libc.unshare(_NEW_NETWORK), "unshare the network")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount; see mount(2)."""
    texts = [None if text is None else text.encode() for text in (source, target, kind)]
    options = None if data is None else data.encode()
    _checked(_libc.mount(*texts, ctypes.c_ulong(flags), options), f"mount {target}")


def hide_memory(hidden: bool) -> None:
    """Make this process's memory and descriptors unreadable for others of the same user, or readable again."""
    _prctl("set dumpable", _PR_SET_DUMPABLE, 0 if hidden else 1)


def drop_privileges() -> None:
    """Give up every capability for good, and the way to new ones through files with privileges."""
    _prctl("no new privileges", _PR_SET_NO_NEW_PRIVS, 1)
    _prctl("clear ambient capabilities", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    nothing = ctypes.create_string_buffer(24)
    _checked(_libc.capset(header, nothing), "capset")


def filter_calls(program: bytes) -> None:
    """Install a seccomp filter, an array of struct sock_filter, for this process and what it starts."""
    instructions = ctypes.create_string_buffer(program, len(program))

    class _Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    whole = _Program(len(program) // 8, ctypes.addressof(instructions))
    _checked(
        _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(whole), 0, 0), "seccomp filter"
    )


def sealed_file(content: bytes) -> int:
    """Return a descriptor, at its beginning, of a file in memory that nobody can change."""
    descriptor = os.memfd_create("stdin", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, _F_ADD_SEALS, _ALL_SEALS)
    return descriptor
