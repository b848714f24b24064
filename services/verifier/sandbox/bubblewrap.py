"""Boxes made with bubblewrap: namespaces for everything, a root of the least, and no rights outside."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from services.verifier.sandbox.inside.seccomp import outer_filter
from services.verifier.sandbox.interpreter import (
    BOOT,
    ENVIRONMENT,
    FLAGS,
    INSIDE_UID,
    PASSWD,
    beside_usr,
    inside_files,
    interpreter,
    library_folder,
    links,
)

_FIRST_UID, _UIDS = 61_200, 4_000
_COUNT = Path("/proc/sys/user/max_user_namespaces")
_DEVICES = ("null", "zero", "full", "random", "urandom")


class Bubblewrap:
    """Starts boxes with `bwrap`.

    Parameters
    ----------
    extra : sequence of Path
        More folders to show, read-only, at their own places (toolchains outside /usr); everybody must be able to read
        them.

    Raises
    ------
    FileNotFoundError
        When there is no bwrap, or no Python that a user without rights may read.
    """

    name = "bubblewrap"

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        program, python = shutil.which("bwrap"), interpreter()
        if program is None:
            raise FileNotFoundError("bwrap is not installed (Debian, Ubuntu: apt-get install bubblewrap)")
        if python is None:
            raise FileNotFoundError("no Python that everybody may read; install python3 in /usr")
        self._program, self._python, self._extra = program, python, tuple(extra)

    async def start(self, number: int, complaints: IO[bytes]) -> asyncio.subprocess.Process:  # noqa: ARG002
        """Start a box; see `Launcher`. As root, it belongs to a user of its own, so that limits hold."""
        data = {**inside_files(), "/etc/passwd": PASSWD}
        descriptors = [_in_memory(content) for content in data.values()]
        seccomp = _in_memory(outer_filter(platform.machine()))
        places = dict(zip(data, descriptors, strict=True))
        # Kernels before 5.14 count processes by user over all boxes, those of other services too.
        uid = _FIRST_UID + secrets.randbelow(_UIDS) if os.geteuid() == 0 else None
        try:
            return await asyncio.create_subprocess_exec(
                self._program,
                *self._arguments(places, seccomp),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                pass_fds=(*descriptors, seccomp),
                cwd="/",
                env={},
                start_new_session=True,
                user=uid,
                group=uid,
                extra_groups=None if uid is None else (),
            )
        finally:
            for descriptor in (*descriptors, seccomp):
                os.close(descriptor)

    async def ended(self, number: int) -> None:
        """Nothing is left: the namespaces went with the box."""

    def _arguments(self, data: dict[str, int], seccomp: int) -> list[str]:
        library = library_folder(self._python)
        shown = [folder for folder in (library, *self._extra) if folder is not None]
        return [
            # The fork server leaves the network itself: gVisor's kernel refuses what bwrap does to the loopback.
            *("--unshare-all", "--share-net", "--unshare-user", "--die-with-parent", "--new-session"),
            # Where the kernel has no such count (gVisor), the filters alone refuse new user namespaces.
            *(("--disable-userns",) if _COUNT.exists() else ()),
            *("--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID), "--hostname", "sandbox"),
            *("--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN", "--seccomp", str(seccomp)),
            *("--clearenv", *(word for pair in ENVIRONMENT.items() for word in ("--setenv", *pair))),
            *_root(),
            *(word for folder in shown for word in ("--ro-bind", str(folder), str(folder))),
            *(word for place, number in data.items() for word in ("--file", str(number), place)),
            *("--remount-ro", "/", "--chdir", "/"),
            *("--", str(self._python), *FLAGS, "-c", BOOT),
        ]


def _root() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dir", "/tmp", "--dir", "/dev/shm"]  # noqa: S108
    for place, target in links().items():
        words += ["--symlink", target, str(place)]
    for place in beside_usr():
        words += ["--ro-bind", str(place), str(place)]
    for name in _DEVICES:
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for link, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        words += ["--symlink", f"/proc/self/fd{target}", f"/dev/{link}"]
    return words


def _in_memory(content: bytes) -> int:
    descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
