"""Real attempts to leave the sandbox or to exceed its limits, made at start: where one succeeds, it is not used."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from services.verifier.sandbox.interface import Job, Limits, Outcome, Sandbox

_ATTEMPTS = Path(__file__).with_name("attempts.py")
_TIGHT = Limits(
    cpu_seconds=0.3, wall_seconds=2.0, memory_bytes=128 << 20, processes=8, open_files=32, disk_bytes=4 << 20,
    output_bytes=4096,
)  # fmt: skip
_FORKS = """
import os, time
alive = 0
for _ in range(200):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    alive += 1
print(alive)
"""


async def holes(sandbox: Sandbox) -> list[str]:
    """Return what the sandbox did not hold back; an empty list where it is fit for use.

    Every attempt is made twice, so that what one job leaves behind for the next is found too.
    """
    return [hole for check in (_escapes, _escapes, _processes, _memory, _time, _disk, _output, _pair)
            for hole in await check(sandbox)]  # fmt: skip


async def _escapes(sandbox: Sandbox) -> list[str]:
    with tempfile.NamedTemporaryFile(prefix="limoflow-probe-") as secret:
        os.chmod(secret.name, 0o644)  # only the sandbox is to keep it from the job
        job = Job(python=_ATTEMPTS.read_text(encoding="utf-8"), files={"host_file": secret.name.encode()})
        outcome = await sandbox.run(job)
    if outcome.status != "exited" or outcome.code != 0:
        return [f"a plain program does not run: {_said(outcome)}"]
    found = json.loads(outcome.stdout)
    return [str(each) for each in found]


async def _processes(sandbox: Sandbox) -> list[str]:
    outcome = await sandbox.run(Job(python=_FORKS, limits=_TIGHT))
    held = outcome.status != "exited" or int(outcome.stdout or b"0") <= _TIGHT.processes + 8
    return [] if held else [f"{outcome.stdout.decode().strip()} processes where {_TIGHT.processes} are allowed"]


async def _memory(sandbox: Sandbox) -> list[str]:
    source = "import mmap\nregion = mmap.mmap(-1, 1 << 30)\nfor place in range(0, 1 << 30, 4096): region[place] = 1"
    return await _must_not_finish(sandbox, source, "more memory than allowed")


async def _time(sandbox: Sandbox) -> list[str]:
    return await _must_not_finish(sandbox, "for _ in range(10**9): pass", "more CPU time than allowed")


async def _disk(sandbox: Sandbox) -> list[str]:
    source = "for n in range(16):\n with open(f'/tmp/{n}', 'wb') as file: file.write(bytes(1 << 20))"
    return await _must_not_finish(sandbox, source, "more disk than allowed")


async def _output(sandbox: Sandbox) -> list[str]:
    outcome = await sandbox.run(Job(python="print('x' * 100_000)", limits=_TIGHT))
    return [] if outcome.status == "output_limit" else [f"more output than allowed: {_said(outcome)}"]


async def _pair(sandbox: Sandbox) -> list[str]:
    program = Job(python="import os\nos.write(3, os.read(3, 10)[::-1])")
    _, tests = await sandbox.run_pair(program, Job(python="import os\nos.write(3, b'abc')\nprint(os.read(3, 10))"))
    return [] if tests.stdout == b"b'cba'\n" else [f"a program and its tests do not meet: {_said(tests)}"]


async def _must_not_finish(sandbox: Sandbox, source: str, what: str) -> list[str]:
    outcome = await sandbox.run(Job(python=source, limits=_TIGHT))
    if outcome.status == "unavailable":
        return [f"no run: {_said(outcome)}"]
    return [what] if outcome.status == "exited" and outcome.code == 0 else []


def _said(outcome: Outcome) -> str:
    text = outcome.detail or outcome.stderr.decode(errors="replace")[-300:].strip()
    return f"{outcome.status} {outcome.code}: {text}"
