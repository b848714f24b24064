"""Hostile programs: none escapes, none forges how it ended, none harms the run after it."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.verifier.sandbox import Job, Limits, Sandbox, best_sandbox
from services.verifier.settings import VerifierSettings
from tests.support.hostile import PROGRAMS, TIGHT, TOOLS, Hostile

HANGS = 10.0  # seconds; far more than anything here takes on a busy machine


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=TOOLS)
def sandbox(runner: asyncio.Runner, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if shutil.which(TOOLS[request.param]) is None:
        pytest.skip(f"{TOOLS[request.param]} is not installed")
    os.environ["LIMOFLOW_CANARY"] = "seen"
    try:
        found = runner.run(best_sandbox(VerifierSettings(sandbox=request.param, sandbox_boxes=1)))
    finally:
        del os.environ["LIMOFLOW_CANARY"]
    if found.reason is not None:
        pytest.skip(f"no sandbox can be had here: {found.reason}")
    yield found
    runner.run(found.close())


def test_there_are_enough_of_them() -> None:
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS) >= 40


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_hostile_program_is_held_and_the_next_run_is_as_ever(
    runner: asyncio.Runner, sandbox: Sandbox, program: Hostile, tmp_path: Path
) -> None:
    watched = tmp_path / "watched"
    watched.write_text("whole")
    job = Job(program.command, program.python, program.files, program.stdin, program.limits)
    outcome = runner.run(sandbox.run(job))
    shown = (outcome.status, outcome.code, outcome.detail, outcome.stdout[-500:], outcome.stderr[-500:])
    assert outcome.status in program.ends, shown
    assert b"ESCAPED" not in outcome.stdout, shown
    assert b"HELD" in outcome.stdout or not program.held or outcome.status != "exited", shown
    assert outcome.seconds < program.limits.wall_seconds + HANGS, shown
    assert len(outcome.stdout) <= TIGHT.output_bytes
    assert watched.read_text() == "whole"
    began = time.monotonic()
    after = runner.run(sandbox.run(Job(python=_AFTER)))
    assert (after.status, after.stdout) == ("exited", b"42 ['.shm', 'work'] ['main.py'] [] [1, 2]\n"), after
    assert time.monotonic() - began < HANGS, "the next run was slowed"


_AFTER = """
import json, math, os
rooms = [sorted(os.listdir(place)) for place in ('/tmp', '.', '/dev/shm')]
print(math.prod([6, 7]), *rooms, sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))
"""


@pytest.mark.parametrize("program", ["crash", "poisoning the fork server's own code", "killing everything in sight"])
def test_what_killed_or_poisoned_its_server_does_not_cost_a_box(
    runner: asyncio.Runner, sandbox: Sandbox, program: str
) -> None:
    hostile = next(each for each in PROGRAMS if each.name == program)
    before = sandbox.replaced
    runner.run(sandbox.run(Job(python=hostile.python, limits=TIGHT)))
    assert sandbox.replaced == before


def test_a_box_killed_from_outside_is_replaced(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    async def killed() -> tuple[str, str]:
        await sandbox.run(Job(python="1"))
        (box,) = sandbox._all
        running = asyncio.create_task(sandbox.run(Job(python="import time; time.sleep(5)")))
        await asyncio.sleep(0.05)
        box._process.kill()
        return (await running).status, (await sandbox.run(Job(python="1"))).status

    assert runner.run(killed()) == ("unavailable", "exited")


def test_a_box_that_is_stuck_is_replaced(
    runner: asyncio.Runner, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.verifier.sandbox.box._GRACE_SECONDS", 0.2)

    async def stuck() -> tuple[str, str]:
        assert (await sandbox.run(Job(python="1"))).status == "exited"
        (box,) = sandbox._all
        for process in psutil.Process(box._process.pid).children(recursive=True):
            process.suspend()
        return (await sandbox.run(Job(python="1", limits=Limits(wall_seconds=0.2)))).status, sandbox.reason or ""

    assert runner.run(stuck()) == ("unavailable", "")
    monkeypatch.undo()
    assert runner.run(sandbox.run(Job(python="1"))).status == "exited"


SECRET = "zq" + "5e7c" * 10
SEARCH = """
import re
def secrets():
    found, memory = set(), open('/proc/self/mem', 'rb', 0)
    for line in open('/proc/self/maps'):
        if ' rw' in line:
            begin, end = (int(each, 16) for each in line.split()[0].split('-'))
            memory.seek(begin)
            found |= set(re.findall(rb'zq[0-9a-f]{40}', memory.read(end - begin)))
    return sorted(found)
"""


def test_the_search_for_secrets_finds_one_that_is_there(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    outcome = runner.run(sandbox.run(Job(python=f"{SEARCH}own = '{SECRET}'\nprint(secrets())")))
    assert SECRET.encode() in outcome.stdout


def test_program_and_tests_share_nothing_but_the_stream(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    look = "import os\nos.write(3, f'{secrets()} {os.listdir()} {os.getpid()}'.encode())\nos.read(3, 9)"
    keep = f"import os\nsecret = '{SECRET}'\nprint(os.read(3, 200).decode())"
    for _ in range(2):
        tests = Job(python=keep, files={"key": SECRET.encode()}, stdin=SECRET.encode())
        _, told = runner.run(sandbox.run_pair(Job(python=SEARCH + look), tests))
        assert told.stdout == b"[] ['main.py'] 2\n", told


def test_nothing_of_one_job_is_in_the_memory_of_the_next(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    first = Job(python=f"print('{SECRET}')", stdin=SECRET.encode(), files={"file": SECRET.encode()})
    assert runner.run(sandbox.run(first)).stdout.strip() == SECRET.encode()
    outcome = runner.run(sandbox.run(Job(python=f"{SEARCH}print(secrets())")))
    assert outcome.stdout == b"[]\n", outcome


def test_the_tests_go_on_when_the_program_ends_and_it_ends_with_them(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    gone = runner.run(sandbox.run_pair(Job(python="1"), Job(python="import os; print(os.read(3, 9))")))
    assert gone[1].stdout == b"b''\n"
    stays = runner.run(sandbox.run_pair(Job(python="while True: pass"), Job(python="print('done')")))
    assert (stays[0].status, stays[1].stdout) == ("signalled", b"done\n")
    assert stays[0].seconds < 5


def test_what_a_program_says_comes_back_as_it_said_it(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    source = (
        "import sys\ndata = sys.stdin.buffer.read()\nsys.stdout.buffer.write(data[::-1])\nsys.exit(len(data) % 256)"
    )
    data = bytes(range(256)) * 3 + b"x"
    outcome = runner.run(sandbox.run(Job(python=source, stdin=data)))
    assert (outcome.status, outcome.code, outcome.stdout) == ("exited", 1, data[::-1])


@pytest.mark.parametrize(
    ("tool", "command", "files"),
    [
        ("gcc", "gcc -o m m.c && ./m", {"m.c": b'#include <stdio.h>\nint main(){puts("42");}'}),
        ("node", "node -e 'console.log(6*7)'", {}),
        ("bash", "echo $((6*7))", {}),
    ],
)
def test_other_languages_run_too(
    runner: asyncio.Runner, sandbox: Sandbox, tool: str, command: str, files: dict[str, bytes]
) -> None:
    if not Path("/usr/bin", tool).exists():
        pytest.skip(f"{tool} is not installed in /usr")
    limits = Limits(memory_bytes=1 << 30, processes=64)
    outcome = runner.run(sandbox.run(Job(("bash", "-c", command), files=files, limits=limits)))
    assert outcome.stdout == b"42\n", outcome
