"""A whole local stack for tests: real Kafka, real Triton, real service processes, driven through the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from limoflow.settings import Home
from limoflow.stack.jars import java_program
from limoflow.stack.state import ProcessState, StackState, read_state
from schemas.release import Release

REPOSITORY = Path(__file__).resolve().parents[2]


def need_broker() -> None:
    """Skip where the programs that a broker needs are missing; on CI they are to be there."""
    if os.environ.get("CI") != "true" and (java_program() is None or shutil.which("mvn") is None):
        pytest.skip("a broker needs Java 17 and Maven")


def need_stack() -> None:
    """Skip where the programs of a whole stack are missing."""
    need_broker()
    if not (triton_venv() / "bin" / "python").exists():
        pytest.skip("a whole stack needs the Triton environment: make venv-triton")


def triton_venv() -> Path:
    """Return the Triton environment of this checkout."""
    return Path(os.environ.get("LIMOFLOW_TRITON_VENV") or REPOSITORY / ".venv-triton").absolute()


def until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for a condition; fail, saying what was waited for, after a generous time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.1)


class Stack:
    """One running stack and the command line that belongs to it.

    Parameters
    ----------
    root : Path
        The home folder.
    folder : Path
        Where commands run, so where relative source paths begin.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.home = Home(root)
        self._folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """The environment of commands."""
        return {
            **os.environ,
            "LIMOFLOW_HOME": str(self.home.root),
            "LIMOFLOW_TRITON_VENV": str(triton_venv()),
            "PYTHONPATH": str(REPOSITORY),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return its process."""
        return subprocess.Popen(
            [sys.executable, "-m", "limoflow.cli", *arguments],
            cwd=self._folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def command(self, *arguments: str, timeout_s: float = 600.0) -> str:
        """Run a command to its end; it must succeed. Returns what it printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=timeout_s)
        assert process.returncode == 0, f"limoflow {' '.join(arguments)}: exit {process.returncode}\n{output[-6000:]}"
        return output

    @property
    def state(self) -> StackState:
        """The state file."""
        state = read_state(self.home.stack)
        assert state is not None
        return state

    def process(self, name: str) -> ProcessState:
        """Return the first process of a service."""
        return self.state.of(name)[0]

    def releases(self) -> list[Release]:
        """Return the exported releases, by run and window."""
        manifests = self.home.releases.glob("*/*/*/manifest.json")
        found = [Release.model_validate_json(path.read_bytes()) for path in manifests]
        return sorted(found, key=lambda release: (release.run_id, release.window))

    def manifest(self, name: str) -> bytes:
        """Return the bytes of the one manifest of a run's name."""
        found = list(self.home.releases.glob(f"{name}/*/*/manifest.json"))
        assert len(found) == 1, found
        return found[0].read_bytes()


@contextmanager
def running_stack(root: Path, folder: Path, *arguments: str) -> Iterator[Stack]:
    """Start a stack, and stop it whatever happens."""
    need_stack()
    stack = Stack(root, folder)
    try:
        stack.command("up", "--detach", *arguments)
        yield stack
    finally:
        stack.command("down")
