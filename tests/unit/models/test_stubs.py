"""Which processes are ended when a stub takes the place of another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

WAIT = "import sys; sys.stdin.read()"
SERVER = f"""
import subprocess, sys
stub = subprocess.Popen([sys.executable, "-c", {WAIT!r}, "region", sys.argv[1][:12]])
print(stub.pid, flush=True)
stub.wait()
"""
END = "import sys; from models.stubs import end_predecessors; print(*end_predecessors(sys.argv[2]))"


def started(stack: ExitStack, code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_only_the_predecessors_of_an_instance_under_the_same_server_are_ended(stack: ExitStack) -> None:
    """This process stands for the server, its children for stubs."""
    before = [started(stack, WAIT, "region", "embedder_0_1") for _ in range(2)]
    others = [started(stack, WAIT, "region", instance) for instance in ("embedder_0_0", "embedder_0_11")]
    other_server = started(stack, SERVER, "embedder_0_1 of another")
    assert other_server.stdout is not None
    stranger = int(other_server.stdout.readline())
    successor = started(stack, END, "region", "embedder_0_1")
    told, _ = successor.communicate(timeout=60)
    assert sorted(map(int, told.split())) == sorted(process.pid for process in before)
    assert [process.wait(timeout=60) for process in before] == [-9, -9]
    assert [process.poll() for process in [*others, other_server]] == [None] * 3
    assert psutil.Process(stranger).status() != psutil.STATUS_ZOMBIE


def test_the_first_stub_of_an_instance_ends_nobody(stack: ExitStack) -> None:
    successor = started(stack, END, "region", "embedder_0_1")
    assert successor.communicate(timeout=60)[0].split() == []
    assert successor.returncode == 0
