"""What the local stack needs on this machine, what of it is there, and how to get the rest."""

from __future__ import annotations

import resource as limits
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from limoflow.errors import LimoflowError
from limoflow.stack.jars import OLDEST_JAVA, jars_folder, java_program, java_version
from limoflow.stack.paths import cache_folder, state_folder
from limoflow.stack.ports import PortReservation
from limoflow.stack.triton import find_triton

_GIB = 1 << 30
_DISK_GIB = 3.0
_MEMORY_GIB = 4.0
_SHARED_MEMORY_GIB = 0.06
_OPEN_FILES = 4096
_PORTS = 12


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the stack needs.

    Attributes
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it suffices.
    found, needed : str
        What there is and what it takes.
    how_to_fix : str
        What to do where it does not suffice.
    """

    name: str
    ok: bool
    found: str
    needed: str
    how_to_fix: str


def checks(venv_triton: Path, state: Path | None = None, cache: Path | None = None) -> list[Check]:
    """Look at everything that the local stack needs; changes nothing and takes less than two seconds.

    Parameters
    ----------
    venv_triton : Path
        Where the Triton environment should be.
    state, cache : Path, optional
        Folders of the stack and of downloads; the ones that `limoflow up` would use where None.
    """
    state, cache = state or state_folder(), cache or cache_folder()
    return [
        check_python(),
        check_java(),
        check_maven(cache),
        check_kafka_jars(cache),
        check_triton(venv_triton),
        check_writable("state folder", state),
        check_writable("cache folder", cache),
        check_disk(state),
        check_memory(),
        check_shared_memory(),
        check_open_files(),
        check_ports(),
    ]


def check_python() -> Check:
    """Check the version of the running Python."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("Python", sys.version_info[:2] == (3, 11), version, "3.11", "install Python 3.11 and run 'make venv'")


def check_java() -> Check:
    """Check for a Java that runs Kafka."""
    program = java_program()
    version = java_version(program) if program else None
    found = f"{version} ({program})" if version else "none"
    fix = "Debian, Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17; or use --local"
    return Check("Java", version is not None and version >= OLDEST_JAVA, found, f"{OLDEST_JAVA} or newer", fix)


def check_maven(cache: Path) -> Check:
    """Check for Maven, which is only needed until Kafka's jars are in the cache."""
    found, cached = shutil.which("mvn"), jars_folder(cache).is_dir()
    needed = "any (not needed any more: Kafka is in the cache)" if cached else "any, to fetch Kafka"
    fix = "Debian, Ubuntu: apt-get install maven; macOS: brew install maven; or use --local"
    return Check("Maven", bool(found) or cached, found or "none", needed, fix)


def check_kafka_jars(cache: Path) -> Check:
    """Check for Kafka's jars in the cache, or the means to fetch them."""
    folder = jars_folder(cache)
    cached = folder.is_dir()
    fetchable = shutil.which("mvn") is not None
    found = str(folder) if cached else "not in the cache yet" + (", 'limoflow up' fetches them" if fetchable else "")
    return Check(
        "Kafka jars", cached or fetchable, found, folder.name, "install Maven; 'limoflow up' then fetches them"
    )


def check_triton(venv: Path) -> Check:
    """Check for the Triton server in its environment."""
    needed = f"nvidia-pytriton in {venv}"
    try:
        found = find_triton(venv)
    except LimoflowError as error:
        return Check("Triton", False, str(error), needed, "make venv-triton")
    return Check("Triton", True, f"nvidia-pytriton {found.version}, Python {found.python}", needed, "make venv-triton")


def _nearest_existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def check_writable(name: str, folder: Path) -> Check:
    """Check that files can be written into a folder, or into the nearest one above it that exists."""
    place = _nearest_existing(folder)
    fix = f"give yourself the right to write into {place}, or choose another folder (LIMOFLOW_HOME, LIMOFLOW_CACHE)"
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check(name, False, f"{folder}: {error.strerror}", "write access", fix)
    return Check(name, True, str(folder), "write access", fix)


def check_disk(folder: Path) -> Check:
    """Check the free space where the stack keeps its data."""
    free = shutil.disk_usage(_nearest_existing(folder)).free / _GIB
    fix = f"free some space on the disk of {folder}, or set LIMOFLOW_HOME to another one"
    return Check("disk space", free >= _DISK_GIB, f"{free:.1f} GiB free", f"{_DISK_GIB:g} GiB", fix)


def check_memory() -> Check:
    """Check the memory that is available to new processes."""
    available = _available_memory() / _GIB
    fix = "close other programs; or use --local, which needs no Kafka and no Triton"
    return Check("memory", available >= _MEMORY_GIB, f"{available:.1f} GiB available", f"{_MEMORY_GIB:g} GiB", fix)


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def check_shared_memory() -> Check:
    """Check the space in /dev/shm, where Triton's Python models exchange tensors with the server."""
    free = shutil.disk_usage("/dev/shm").free / _GIB  # noqa: S108
    fix = "in a container: give it more, such as docker run --shm-size=256m"
    needed = f"{_SHARED_MEMORY_GIB:g} GiB"
    return Check("shared memory", free >= _SHARED_MEMORY_GIB, f"{free:.2f} GiB free in /dev/shm", needed, fix)


def check_open_files() -> Check:
    """Check how many files a process may open; a broker keeps several per partition."""
    hard = limits.getrlimit(limits.RLIMIT_NOFILE)[1]
    enough = hard == limits.RLIM_INFINITY or hard >= _OPEN_FILES
    return Check("open files", enough, str(hard), f"{_OPEN_FILES} per process", f"ulimit -n {_OPEN_FILES}")


def check_sandbox(name: str, reason: str | None) -> Check:
    """Say what was found about the sandbox, which only the verifier can try out.

    Parameters
    ----------
    name : str
        Back end.
    reason : str or None
        Why there is none.
    """
    fix = "Debian, Ubuntu: apt-get install bubblewrap (or gVisor's runsc); without one, verdicts on code are unknown"
    return Check(
        "sandbox", reason is None, reason or f"{name}; no attempt to escape succeeded", "bubblewrap or runsc", fix
    )


def check_ports() -> Check:
    """Check that free loopback ports can be had."""
    needed, fix = f"{_PORTS} free on 127.0.0.1", "stop other local servers, or allow sockets on 127.0.0.1"
    try:
        with PortReservation(_PORTS):
            return Check("ports", True, f"{_PORTS} free", needed, fix)
    except (LimoflowError, OSError) as error:
        return Check("ports", False, str(error), needed, fix)
