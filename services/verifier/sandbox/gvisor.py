"""Boxes made with gVisor's runsc: the programs' system calls reach a kernel of their own, not the host's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

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

_PLATFORM = "systrap"
_DELETE_SECONDS = 20.0


class Gvisor:
    """Starts boxes with `runsc`.

    Parameters
    ----------
    extra : sequence of Path
        More folders to show, read-only, at their own places (toolchains outside /usr); everybody must be able to read
        them.

    Raises
    ------
    FileNotFoundError
        When there is no runsc, or no Python that a user without rights may read.
    """

    name = "gvisor"

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        program, python = shutil.which("runsc"), interpreter()
        if program is None:
            raise FileNotFoundError("runsc is not installed (gVisor: docs/checks/sandbox.md says how to get it)")
        if python is None:
            raise FileNotFoundError("no Python that everybody may read; install python3 in /usr")
        self._program, self._python, self._extra = program, python, tuple(extra)
        self._places: dict[int, Path] = {}
        # Else newer ones pin a namespace with a mount in the box's folder, which then cannot be taken away.
        known = subprocess.run([program, "flags"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
        self._flags = ["--gofer-network-namespace=new"] if b"-gofer-network-namespace" in known else []

    async def start(self, number: int, complaints: IO[bytes]) -> asyncio.subprocess.Process:
        """Start a box; see `Launcher`."""
        place = self._places[number] = Path(tempfile.mkdtemp(prefix="limoflow-gvisor-"))
        self._write_bundle(place)
        return await asyncio.create_subprocess_exec(
            *self.command(place),
            *("run", "--bundle", str(place), place.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd="/",
            env={},
            start_new_session=True,
        )

    async def ended(self, number: int) -> None:
        """Take the box's folder away, and its kernel where that is still there."""
        place = self._places.pop(number, None)
        if place is None:
            return
        process = await asyncio.create_subprocess_exec(
            *self.command(place), "delete", "--force", place.name,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={},
        )  # fmt: skip
        await asyncio.wait_for(process.wait(), _DELETE_SECONDS)
        shutil.rmtree(place)

    def command(self, place: Path) -> list[str]:
        """Return the words with which runsc is started, for a box whose state lies in a folder."""
        rootless = [] if os.geteuid() == 0 else ["--rootless"]
        return [
            *(self._program, *rootless, f"--root={place / 'state'}", f"--platform={_PLATFORM}", "--network=none"),
            *("--ignore-cgroups", "--overlay2=none", "--host-uds=none", *self._flags),
        ]

    def _write_bundle(self, place: Path) -> None:
        place.chmod(0o755)
        root = place / "rootfs"
        for name, content in {**inside_files(), "/etc/passwd": PASSWD}.items():
            file = root / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        for link, target in links().items():
            (root / link.name).symlink_to(target)
        library = library_folder(self._python)
        shown = [Path("/usr"), *beside_usr(), *(each for each in (library, *self._extra) if each is not None)]
        for folder in [*shown, Path("/proc"), Path("/dev"), Path("/sys"), Path("/tmp")]:  # noqa: S108
            inner = root / str(folder).lstrip("/")
            if folder.is_dir():
                inner.mkdir(parents=True, exist_ok=True)
            else:
                inner.parent.mkdir(parents=True, exist_ok=True)
                inner.touch()
        (place / "config.json").write_text(json.dumps(self._specification(shown)))

    def _specification(self, shown: Sequence[Path]) -> dict[str, Any]:
        sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": INSIDE_UID, "gid": INSIDE_UID},
                "args": [str(self._python), *FLAGS, "-c", BOOT],
                "env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
                "cwd": "/",
                "capabilities": {name: ["CAP_SYS_ADMIN"] for name in sets},
                "noNewPrivileges": True,
            },
            "root": {"path": "rootfs", "readonly": True},
            "hostname": "sandbox",
            "mounts": [
                _mount("/proc", "proc"),
                _mount("/sys", "tmpfs", "ro", "mode=000", "size=4096"),
                *(_mount(str(each), "bind", "bind", "ro") for each in shown),
            ],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
        }


def _mount(place: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": place if kind == "bind" else kind, "options": list(options)}
