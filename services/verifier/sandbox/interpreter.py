"""Which Python runs inside: one that a user without rights may read, and the code of the fork server as data."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

_INSIDE = Path(__file__).with_name("inside")
ROOT = "/limoflow"
PACKAGE = "services/verifier/sandbox/inside"
BOOT = f"import sys; sys.path.insert(0, {ROOT!r}); from services.verifier.sandbox.inside.server import serve; serve()"
FLAGS = ("-s", "-S", "-B", "-X", "utf8")
ENVIRONMENT = {"LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
INSIDE_UID = 65_534
PASSWD = f"sandbox:x:{INSIDE_UID}:{INSIDE_UID}::/tmp:/bin/sh\n".encode()
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs in /usr link to: Debian's alternatives, and the settings without which a JVM does not start.
_SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/java-*-openjdk")


def interpreter() -> Path | None:
    """Return this process's own Python where everybody may read it, else the system's; None where there is none."""
    own = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    names = ("/usr/bin/python3.11", "/usr/local/bin/python3.11", "/usr/bin/python3", "/usr/local/bin/python3")
    candidates = [own, *(Path(name) for name in names if shutil.which(name))]
    return next((place.resolve() for place in candidates if place.exists() and open_to_all(place)), None)


def open_to_all(place: Path) -> bool:
    """Tell whether a user without rights can reach and read a file or folder."""
    place = place.resolve()
    if not os.stat(place).st_mode & stat.S_IROTH:
        return False
    return all(os.stat(folder).st_mode & stat.S_IXOTH for folder in place.parents)


def library_folder(python: Path) -> Path | None:
    """Return the installation that a Python outside /usr needs besides itself; None for one in /usr."""
    prefix = python.parent.parent
    return None if prefix.is_relative_to("/usr") else prefix


def inside_files() -> dict[str, bytes]:
    """Return the fork server's modules: their places in the box, and their text."""
    return {f"{ROOT}/{PACKAGE}/{file.name}": file.read_bytes() for file in sorted(_INSIDE.glob("*.py"))}


def links() -> dict[Path, str]:
    """Return the symbolic links into /usr that stand in the machine's root, and where they lead."""
    return {place: os.readlink(place) for place in (Path("/", name) for name in _TOP) if place.is_symlink()}


def beside_usr() -> list[Path]:
    """Return what must be shown besides /usr: its settings, and the folders of a root that is not merged into it."""
    folders = [place for place in (Path("/", name) for name in _TOP) if place.is_dir() and not place.is_symlink()]
    return folders + [place for each in _SETTINGS for place in sorted(Path("/").glob(each.lstrip("/")))]
