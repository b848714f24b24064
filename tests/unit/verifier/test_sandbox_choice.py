"""A sandbox is used only where it works and holds; else every outcome says why nothing was run."""

from __future__ import annotations

import json

import pytest

from limoflow.errors import UsageError
from limoflow.service import _readiness
from limoflow.stack.doctor import check_sandbox
from services.verifier.sandbox import Job, Outcome, Sandbox, Unavailable, best, best_sandbox
from services.verifier.sandbox.box import checked
from services.verifier.sandbox.inside import usage
from services.verifier.sandbox.probe import holes
from services.verifier.settings import VerifierSettings


class Leaky(Unavailable):
    """Answers as a sandbox in which every attempt came through would."""

    async def run(self, job: Job) -> Outcome:
        found = ["reading /etc/shadow"] if "host_file" in job.files else 100
        return Outcome("exited", 0, json.dumps(found).encode())


async def test_each_hole_of_a_leaky_sandbox_is_found() -> None:
    found = await holes(Leaky("no reason"))
    for part in ("/etc/shadow", "processes", "memory", "CPU time", "disk", "output", "do not meet"):
        assert any(part in hole for hole in found), part


async def test_a_sandbox_with_a_hole_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_hole(_: Sandbox) -> list[str]:
        return ["a local socket"]

    monkeypatch.setattr(best, "holes", one_hole)
    monkeypatch.setitem(best.BACK_ENDS, "bubblewrap", lambda _: None)  # type: ignore[arg-type,return-value]
    sandbox = await best_sandbox(VerifierSettings(sandbox="auto"))
    assert "bubblewrap: did not hold back: a local socket" in str(sandbox.reason)


@pytest.mark.parametrize("setting", ["auto", "none"])
async def test_without_a_sandbox_nothing_runs_and_the_reason_is_told(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    sandbox = await best_sandbox(VerifierSettings(sandbox=setting))
    expected = "bwrap is not installed" if setting == "auto" else "switched off"
    outcomes = (await sandbox.run(Job(python="1")), *await sandbox.run_pair(Job(python="1"), Job(python="1")))
    assert all(outcome.status == "unavailable" and expected in str(outcome.detail) for outcome in outcomes)
    assert expected in check_sandbox(sandbox.name, sandbox.reason).found
    assert _readiness([], [f"code is not run: {sandbox.reason}"])[1].endswith(str(sandbox.reason))


@pytest.mark.parametrize(
    "job",
    [
        Job(),
        Job(("true",), python="1"),
        *(Job(python="1", files={name: b""}) for name in ("", "/x", "../x", "a//b", "a/./b", "a\0b")),
        Job(("a\0b",)),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(job: Job) -> None:
    with pytest.raises(UsageError):
        checked(job)


def test_a_process_cannot_hide_its_use_behind_its_name_or_by_leaving_its_parent() -> None:
    rest = "S {parent} 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 0 0 10 0"
    evil = usage.parsed("7 (a) R 1 (b) " + rest.format(parent=5))
    assert (evil.parent, evil.tasks, evil.resident_bytes) == (5, 3, 10 * 4096)
    root, orphan, other = (usage.Process(parent, 1.0, 100, 1) for parent in (2, 5, 1))
    sums = usage.summed({5: root, 9: orphan, 11: other, 7: evil}, [5])
    assert (sums[5].cpu_seconds, sums[5].tasks) == (2.0 + evil.cpu_seconds, 5)
