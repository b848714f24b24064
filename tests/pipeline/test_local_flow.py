"""Whole runs in one process: conservation, order, crashes, windows, and bad input of every kind."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from limoflow.errors import DependencyUnavailable
from limoflow.inference.fakes import FakeModels
from limoflow.stream.dead_letters import read_dead_letter
from limoflow.wiring.local import hosted
from limoflow.wiring.plan import run_emit
from schemas.topics import SCORED, dead_letters_of
from tests.support.local_flow import LocalFlow, only, planned, rows, write_lake

STAGES = ("ingestor", "generator", "verifier", "scorer", "selector", "selector-merge", "exporter")


def test_every_row_ends_once_and_the_release_lies_in_its_folder(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", [*rows(60), b"{broken", b"\xff\xfe", {"instruction": "no answer"}])
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    (results,) = flow.run(run)
    report, release = flow.audit(run), only(results)
    assert report.passed
    assert report.admitted == 63
    assert report.dead_lettered == {"ingestor": 3}
    assert (report.finalized, len(release.rows), release.shortfall) == (20, 20, 0)
    folder = Path(results.exports[release.release_id].folder)
    assert (folder / "manifest.json").read_bytes() == release.manifest()
    exported = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert [row["id"] for row in exported] == [row.id for row in release.rows]


def test_the_funnel_of_the_manifest_is_that_of_the_audit(tmp_path: Path) -> None:
    wrong = [{**row, "response": row["response"] + "1"} for row in rows(10, start=500)]
    write_lake(tmp_path, "a.jsonl", [*rows(40), *wrong, *rows(5), b"{"])
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    release, report = only(flow.run(run)[0]), flow.audit(run)
    assert report.passed
    assert release.funnel["finalized"] == report.finalized
    assert release.funnel["dead_lettered"] == dict(report.dead_lettered)
    assert release.funnel["rejected"] == dict(report.rejected)
    assert report.rejected["selector/exact_duplicate"] == 5
    assert sum(count for reason, count in report.rejected.items() if reason.startswith("verifier/")) == 10


def test_crashes_partitions_and_repeats_do_not_change_the_manifest(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", rows(120))
    write_lake(tmp_path, "b.jsonl", [*rows(30, start=300), *rows(10)])
    run = planned(tmp_path)
    calm = only(LocalFlow(tmp_path / "calm").run(run)[0]).manifest()
    for seed in range(3):
        chance = random.Random(seed)
        storm = sorted((chance.randrange(1, 600), chance.choice(STAGES)) for _ in range(5))
        flow = LocalFlow(tmp_path / f"storm-{seed}", partitions=chance.choice([1, 3, 8]))
        release = only(flow.run(run, storm=storm)[0])
        assert flow.audit(run).passed, storm
        assert release.manifest() == calm, storm


async def test_a_growing_folder_gives_one_release_per_window_each_as_if_sent_at_once(tmp_path: Path) -> None:
    files = {f"part-{number}.jsonl": rows(40, start=1000 * number) for number in range(3)}
    select = {"target": 10, "window": {"count": 40}}
    growing, whole = tmp_path / "growing", tmp_path / "whole"
    flow = LocalFlow(growing)
    run = planned(growing, select=select, source={"follow": True, "settle_seconds": 0.05})
    async with hosted(flow.transport, flow.home, flow.models) as runner:
        flow.submit(run)
        for number, (name, lines) in enumerate(files.items()):
            write_lake(growing, name, lines)
            expected = number if number < 2 else 2
            await flow.until(runner, lambda expected=expected: len(flow.results(run).releases) >= expected)
        flow.transport.send([run_emit(run.model_copy(update={"state": "closing"}))])
        await flow.until(runner, lambda: flow.results(run).finished(run))
    for name, lines in files.items():
        write_lake(whole, name, lines)
    at_once_run = planned(whole, select=select)
    (at_once,) = await LocalFlow(whole).complete(at_once_run)
    grown = flow.results(run)
    assert flow.audit(run).passed
    for window in range(3):
        assert grown.releases[window].rows == at_once.releases[window].rows
        assert grown.releases[window].funnel == at_once.releases[window].funnel
        assert len(grown.releases[window].rows) == 10


async def test_a_late_repeat_of_a_closed_window_changes_nothing(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", rows(40))
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    (before,) = await flow.complete(run)
    report = flow.audit(run)
    repeats = list(flow.transport.read(["samples.raw"]))
    async with hosted(flow.transport, flow.home, flow.models) as runner:
        handled = sum(flow.transport.committed("selector", "samples.scored").values())
        flow.transport.send(record_again(record) for record in repeats)
        await flow.until(
            runner, lambda: sum(flow.transport.committed("selector", "samples.scored").values()) > handled + 10
        )
    after = flow.results(run)
    assert after.releases == before.releases
    again = flow.audit(run)
    assert again.passed
    assert (again.finalized, again.admitted) == (report.finalized, report.admitted)


def record_again(record: Any) -> Any:
    from limoflow.stream.types import Emit

    return Emit(record.topic, record.key, record.value, record.headers)


def test_two_runs_share_the_services_without_touching_each_other(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", rows(60))
    first, second = planned(tmp_path, "first"), planned(tmp_path, "second", seed=9, select={"target": 7})
    alone = only(LocalFlow(tmp_path / "alone").run(first)[0])
    flow = LocalFlow(tmp_path / "both")
    together = flow.run(first, second)
    assert only(together[0]).manifest() == alone.manifest()
    assert len(only(together[1]).rows) == 7
    assert flow.audit(first).passed
    assert flow.audit(second).passed


def test_a_target_beyond_what_survives_gives_a_smaller_release_that_says_so(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", rows(12))
    release = only(LocalFlow(tmp_path).run(planned(tmp_path, select={"target": 50}))[0])
    assert 0 < len(release.rows) <= 12
    assert release.shortfall == 50 - len(release.rows)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (b"{broken", "dead"),
        (b'{"instruction": "caf\xe9", "response": "x"}', "dead"),
        (b'{"instruction": "a question without an answer"}', "dead"),
        (b'{"instruction": 7, "response": ["a", "list"]}', "dead"),
        (b'{"instruction": "' + b"x" * 5_000_000 + b'", "response": "y"}', "dead"),
        (b'{"instruction": ' + b"[" * 10_000 + b"]" * 10_000 + b', "response": "y"}', "dead"),
        (b'{"instruction": "", "response": "an answer"}', "rejected"),
        (b'{"instruction": "a question", "response": "  "}', "rejected"),
    ],
    ids=["broken", "not utf-8", "missing", "mistyped", "5 MB", "nesting", "empty instruction", "empty answer"],
)
def test_a_bad_row_is_recorded_and_harms_no_other(tmp_path: Path, line: bytes, where: str) -> None:
    write_lake(tmp_path, "a.jsonl", [*rows(30), line, *rows(10, start=50)])
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    release, report = only(flow.run(run)[0]), flow.audit(run)
    assert report.passed
    assert len(release.rows) == 20
    assert report.admitted == 41
    if where == "dead":
        assert report.dead_lettered == {"ingestor": 1}
        (letter,) = flow.transport.read([dead_letters_of("ingestor")])
        assert line.startswith((letter.value or b"")[:1000])
        assert "a.jsonl" in read_dead_letter(letter).error
    else:
        assert sum(count for reason, count in report.rejected.items() if reason.startswith("verifier/")) == 1


def test_an_empty_file_and_an_unknown_kind_of_file_do_not_stop_a_run(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", rows(30))
    write_lake(tmp_path, "empty.jsonl", [])
    write_lake(tmp_path, "picture.png", [b"\x89PNG"])
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    assert len(only(flow.run(run)[0]).rows) == 20
    assert flow.audit(run).passed
    letters = [read_dead_letter(record) for record in flow.transport.read([dead_letters_of("ingestor")])]
    assert [letter for letter in letters if "picture.png" in letter.error]


def test_a_missing_folder_ends_the_run_with_an_empty_release(tmp_path: Path) -> None:
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    release = only(flow.run(run)[0])
    assert (release.rows, release.shortfall) == ([], 20)
    assert flow.audit(run).dead_lettered == {"ingestor": 1}


def test_one_id_with_two_contents_ends_once_with_the_smaller_hash(tmp_path: Path) -> None:
    first, second = rows(2, start=900)
    write_lake(
        tmp_path,
        "a.jsonl",
        [
            {"id": "twice", **first},
            {"id": "twice", **second},
            *({"id": str(n), **row} for n, row in enumerate(rows(30))),
        ],
    )
    fields = {name: name for name in ("id", "instruction", "response")}
    flow = LocalFlow(tmp_path)
    run = planned(tmp_path, select={"target": 32}, source={"fields": fields})
    flow.run(run)
    report = flow.audit(run)
    assert report.passed
    assert report.admitted == 31


def test_models_that_are_out_lose_nothing_and_fill_no_dead_letters(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", rows(40))
    failures = iter(range(150))

    def out(_: str) -> DependencyUnavailable | None:
        return DependencyUnavailable("the model server is down") if next(failures, None) is not None else None

    flow, run = LocalFlow(tmp_path, models=FakeModels(fail=out)), planned(tmp_path)
    release, report = only(flow.run(run)[0]), flow.audit(run)
    assert report.passed
    assert report.dead_lettered == {}
    assert len(release.rows) == 20


async def test_a_stopped_run_ends_though_its_samples_wait_for_a_model_and_others_go_on(tmp_path: Path) -> None:
    """The model of one run never answers; what it had scored before is its release."""
    write_lake(tmp_path, "a.jsonl", rows(60))
    write_lake(tmp_path, "b.jsonl", rows(30, start=500))
    sick = [str(row["response"]) for row in rows(60)][25:]

    def out(text: str) -> DependencyUnavailable | None:
        return DependencyUnavailable("the model server is down") if text in sick else None

    flow = LocalFlow(tmp_path, models=FakeModels(fail=out))
    run, other = planned(tmp_path, source={"path": "lake/a*"}), planned(tmp_path, "other", source={"path": "lake/b*"})
    async with hosted(flow.transport, flow.home, flow.models) as runner:
        flow.submit(run)
        await flow.until(runner, lambda: sum(flow.transport.ends(SCORED).values()) == 25)
        flow.submit(run.model_copy(update={"state": "stopping"}), other)
        await flow.until(runner, lambda: flow.results(run).finished(run) and flow.results(other).finished(other))
    release, report = only(flow.results(run)), flow.audit(run)
    assert report.passed
    assert report.rejected["scorer/run_stopped"] == 35
    assert release.funnel["rejected"] == dict(report.rejected)
    assert (report.admitted, report.finalized, len(release.rows)) == (60, 20, 20)
    assert all(reason.startswith("selector/") for reason in only(flow.results(other)).funnel["rejected"])
    assert flow.audit(other).passed


def test_a_full_disk_while_exporting_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    write_lake(tmp_path, "a.jsonl", rows(30))
    real, refusals = os.fsync, iter(range(2))

    def full(descriptor: int) -> None:
        if next(refusals, None) is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    (results,) = flow.run(run)
    release = only(results)
    folder = Path(results.exports[release.release_id].folder)
    assert (folder / "manifest.json").read_bytes() == release.manifest()
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]
    assert next(refusals, None) is None
