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
