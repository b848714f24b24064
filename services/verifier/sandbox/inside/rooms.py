"""The private part of a job's file system: one small memory file system for /tmp and /dev/shm, a /proc of its own."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from services.verifier.sandbox.inside.system import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    mount,
)

WORK = "/tmp/work"  # noqa: S108 - private to the job
_SHARED_MEMORY = "/tmp/.shm"  # noqa: S108
_MOST_FILES = 4096


def make_rooms(disk_bytes: int) -> None:
    """Mount what only this job sees, in a mount namespace of its own, and go to the working folder.

    Raises
    ------
    OSError
        When a mount is refused.
    """
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    size = f"size={disk_bytes},nr_inodes={_MOST_FILES},mode=0755"
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, size)  # noqa: S108
    os.mkdir(_SHARED_MEMORY)
    os.mkdir(WORK)
    mount(_SHARED_MEMORY, "/dev/shm", None, MS_BIND)  # noqa: S108
    _mount_proc()
    os.chdir(WORK)


def _mount_proc() -> None:
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        mount("proc", "/proc", "proc", flags, "subset=pid")
    except OSError as error:
        if error.errno != errno.EINVAL:  # kernels before 5.8, and gVisor, do not know the option
            raise
        mount("proc", "/proc", "proc", flags)


def write_files(files: Mapping[str, bytes]) -> None:
    """Write files into the working folder; their names were checked by the sender.

    Raises
    ------
    OSError
        When they do not fit, or two of them cannot both be.
    """
    for name, content in files.items():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
