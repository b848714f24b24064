"""Tenants in whole runs: a cut run repeats itself, a refused one reads nothing, a waiting one comes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from limoflow.cli.runs import _conclude, _state
from limoflow.errors import UsageError
from limoflow.report import result_lines
from limoflow.wiring.local import hosted
from limoflow.wiring.plan import preflight
from schemas.run import Run
from schemas.topics import RAW
from tests.support.local_flow import LocalFlow, only, planned, rows, write_lake

TENANTS = """
unnamed: false
tenants:
  trial: {max_running: 1, max_rows: 50, max_target: 20, chat: false}
"""
STORM = [(20, "ingestor"), (90, "selector-merge"), (130, "ingestor"), (200, "selector")]


@pytest.fixture
def tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tenants.yaml"
    path.write_text(TENANTS, encoding="utf-8")
    monkeypatch.setenv("LIMOFLOW_TENANTS", str(path))
    write_lake(tmp_path, "a.jsonl", [b"no JSON", *rows(90)])
    return path


def test_a_run_over_its_rows_ends_with_what_is_there_says_so_and_repeats_itself(tenants: Path) -> None:
    run = planned(tenants.parent, tenant="trial")
    calm = LocalFlow(tenants.parent / "calm")
    (results,) = calm.run(run)
    release, report = only(results), calm.audit(run)
    assert release.stopped is not None
    assert "after 50 rows, the max_rows of tenant 'trial'" in release.stopped
    assert any(release.stopped in line for line in result_lines(results))
    assert release.stopped.encode() in release.manifest()
    assert report.passed
    assert (report.admitted, report.dead_lettered) == (50, {"ingestor": 1})
    assert len(release.rows) == 20
    again = only(LocalFlow(tenants.parent / "again", partitions=3).run(run, storm=STORM)[0])
    assert again.manifest() == release.manifest()


def test_a_refused_run_reads_nothing_and_says_why_though_nobody_asked_before(tenants: Path) -> None:
    """The command line is bypassed: its event goes straight to the topic."""
    run, named = planned(tenants.parent), planned(tenants.parent, "big", tenant="trial", select={"target": 21})
    flow = LocalFlow(tenants.parent)

    async def refused() -> None:
        async with hosted(flow.transport, flow.home, flow.models) as runner:
            flow.submit(run, named)
            await flow.until(runner, lambda: flow.results(named).refused is not None)

    asyncio.run(refused())
    assert sum(flow.transport.ends(RAW).values()) == 0
    for one, word in ((run, "names none"), (named, "select.target: 21 is more than the 20 of tenant 'trial'")):
        assert word in _state(one, flow.results(one))
        with pytest.raises(UsageError, match=f"run {one.run_id} was refused"):
            _conclude(flow.transport, one, flow.results(one))
        assert flow.audit(one).passed
    # Submitted again, it is open until the ingestor has looked at it again.
    flow.submit(named)
    assert flow.results(named).refused is None


def test_runs_of_a_tenant_wait_for_one_another_and_all_are_made(tenants: Path) -> None:
    first, second = (planned(tenants.parent, name, tenant="trial") for name in ("first", "second"))
    flow = LocalFlow(tenants.parent)
    seen: list[str] = []

    async def complete() -> None:
        async with hosted(flow.transport, flow.home, flow.models) as runner:
            flow.submit(first, second)

            def done() -> bool:
                waits = flow.results(second).waiting
                if waits is not None and not flow.results(first).releases:
                    seen.append(waits)
                return flow.results(first).finished(first) and flow.results(second).finished(second)

            await flow.until(runner, done)

    asyncio.run(complete())
    assert "1 of at most 1 runs of tenant 'trial' are under way" in seen[0]
    assert "first-1" in seen[0]
    # No row of the second entered before the release of the first.
    entered = [record.headers for record in flow.transport.read([RAW])]
    assert entered
    releases = [only(flow.results(run)) for run in (first, second)]
    assert [row.id for row in releases[0].rows] == [row.id for row in releases[1].rows]


def test_the_command_line_says_it_before_it_submits(tenants: Path) -> None:
    def problems(run: Run) -> list[str]:
        return preflight(run.spec, tenants.parent)

    assert problems(planned(tenants.parent, tenant="trial")) == []
    assert "names none" in problems(planned(tenants.parent))[0]
    spec = tenants.with_name("run.yaml")
    spec.write_text("name: r\nsources: [{path: 'lake/*'}]\nselect: {target: 21}\n", encoding="utf-8")
    arguments = [sys.executable, "-m", "limoflow.cli", "run", str(spec), "tenant=trial", "--detach"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120, cwd=tenants.parent)
    assert done.returncode == 2
    assert "select.target: 21 is more than the 20 of tenant 'trial'" in done.stderr
