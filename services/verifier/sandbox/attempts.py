"""What the probe runs inside: attempts to leave; one JSON line says which of them came through. Runs as a job."""

# ruff: noqa: S108, SIM115
from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Callable
from typing import Any


def refused(attempt: Callable[[], Any]) -> bool:
    """Tell whether an attempt ends in an error; what returns -1 has failed too."""
    try:
        return bool(attempt() == -1)
    except (OSError, ValueError):
        return True


def reads(place: str) -> Callable[[], Any]:
    """Return the attempt to read."""
    return lambda: open(place, "rb").read(1)


def writes(place: str) -> Callable[[], Any]:
    """Return the attempt to write."""
    return lambda: open(place, "ab").write(b"x")


def status() -> dict[str, str]:
    """Return what the kernel says of this process."""
    lines = open("/proc/self/status", encoding="ascii", errors="replace").read().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def strangers() -> list[int]:
    """Return the processes in sight that are none of ours."""
    numbers = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    return sorted(numbers - {1, os.getpid()})


def escapes(host_file: str) -> list[str]:
    """Return what came through."""
    libc = ctypes.CDLL(None, use_errno=True)
    attempts: dict[str, Callable[[], Any]] = {
        "an internet socket": lambda: socket.socket(socket.AF_INET),
        "a local socket": lambda: socket.socket(socket.AF_UNIX),
        "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "reading a file of the host": reads(host_file),
        "reading /etc/shadow": reads("/etc/shadow"),
        "listing /root": lambda: os.listdir("/root"),
        "listing /home": lambda: os.listdir("/home"),
        "reading another's environment": reads("/proc/1/environ"),
        "reading another's memory": reads("/proc/1/mem"),
        "reading kernel memory": reads("/proc/kcore"),
        "writing to /usr": writes("/usr/limoflow-probe"),
        "writing to /etc": writes("/etc/limoflow-probe"),
        "writing to /": writes("/limoflow-probe"),
        "writing to /dev": writes("/dev/limoflow-probe"),
        "changing a kernel setting": writes("/proc/sys/kernel/core_pattern"),
        "a new user namespace": lambda: libc.unshare(0x10000000),
        "a new mount namespace": lambda: libc.unshare(0x00020000),
        "a mount": lambda: libc.mount(b"tmpfs", b"/usr", b"tmpfs", 0, None),
        "ptrace": lambda: libc.ptrace(16, 1, 0, 0),
        "becoming root": lambda: os.setuid(0),
        "a kernel keyring": lambda: libc.syscall(250, 0, -3, 1),
        "a device": lambda: os.mknod("/tmp/device", 0o060600, os.makedev(8, 0)),
        "chroot": lambda: os.chroot("/tmp"),
    }
    found = [name for name, attempt in attempts.items() if not refused(attempt)]
    own = status()
    if int(own.get("CapEff", "0"), 16) or int(own.get("CapPrm", "0"), 16):
        found.append("capabilities")
    if own.get("NoNewPrivs", "1") != "1":
        found.append("privileges through set-user-id files")
    if own.get("Seccomp", "0") != "2":
        found.append("no filter of system calls")
    if strangers():
        found.append("processes of others in sight")
    if "LIMOFLOW_PROBE" in os.environ or os.path.exists("/tmp/left-behind"):
        found.append("traces of the service or of another job")
    open("/tmp/left-behind", "w").write("x")
    return found


if __name__ == "__main__":
    print(json.dumps(escapes(open("host_file").read())))
