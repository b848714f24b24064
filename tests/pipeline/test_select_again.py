"""What-if and the best set so far: the selector over recorded scores, with no model call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limoflow import progress_of
from limoflow.cli import main, releases, runs
from limoflow.errors import RunSpecError, UsageError
from limoflow.releases import difference
from limoflow.spec_file import changed_spec, load_spec
from limoflow.stream.local import LocalTransport
from limoflow.wiring.again import scored_windows, select_again
from limoflow.wiring.novelty import index_releases
from limoflow.wiring.plan import plan_selection
from schemas.release import Release
from schemas.run import Run
from services.selector.app import NOVELTY, pinned_version
from tests.support.local_flow import LocalFlow, only, planned, rows, write_lake


@pytest.fixture
def finished(tmp_path: Path) -> tuple[LocalFlow, Run, Release]:
    wrong = [{**row, "response": row["response"] + "1"} for row in rows(10, start=500)]
    write_lake(tmp_path, "a.jsonl", [*rows(60), *wrong, *rows(5), b"{broken"])
    flow, run = LocalFlow(tmp_path), planned(tmp_path)
    return flow, run, only(flow.run(run)[0])


def test_the_recorded_scores_give_the_same_release_again(finished: tuple[LocalFlow, Run, Release]) -> None:
    flow, run, release = finished
    assert scored_windows(flow.transport.reader, run.run_id) == [0]
    assert select_again(flow.transport.reader, run, 0).manifest() == release.manifest()


def test_other_settings_give_another_release_and_the_difference_says_how(
    finished: tuple[LocalFlow, Run, Release],
) -> None:
    flow, run, release = finished
    other = select_again(flow.transport.reader, run, 0, ["select.target=7", "score.weights.quality=3"])
    assert len(other.rows) == other.target == 7
    assert other.funnel["admitted"] == release.funnel["admitted"]
    lines = list(difference(release, other))
    assert lines[0].startswith("20 rows before, 7 after; ")
    gone = [line for line in lines if line.startswith("- ")]
    assert {line.split()[1] for line in gone} == {row.id for row in release.rows} - {row.id for row in other.rows}
    assert any(line.startswith("stratum mathematics/") and "out" in line for line in lines)
    assert any(line.startswith("score: ") and " -> " in line for line in lines)
    assert list(difference(release, release)) == ["20 rows before, 20 after; 0 out, 0 in"]


def test_what_if_is_what_a_run_with_those_settings_releases(
    finished: tuple[LocalFlow, Run, Release], tmp_path: Path
) -> None:
    flow, run, release = finished
    (tmp_path / "shares.json").write_text('{"mathematics": 0.5, "other": 0.9}')
    spec_file = tmp_path / "run.yaml"
    spec_file.write_text(
        "name: flow\nsources: [{path: lake/*, domain: mathematics}]\nselect: {target: 20}\nexport: {formats: [jsonl]}\n"
    )
    for settings in (
        ["score.thresholds.quality.least=0.8", "select.target=9"],
        ["score.weights.depth=2.0", "score.combine=rank"],
        ["score.weights={quality: 1.0}", "select.diversity.strategy=mmr"],
        ["select.mixing={kind: scores, file: shares.json}", "seed=3"],
    ):
        spec = plan_selection(load_spec(spec_file, settings), tmp_path)
        again = LocalFlow(tmp_path / f"again-{len(settings[0])}", models=flow.models)
        real = only(again.run(run.model_copy(update={"spec": spec}))[0])
        assert real.rows != release.rows
        assert select_again(flow.transport.reader, run, 0, settings).manifest() == real.manifest(), settings


def test_what_if_checks_its_settings_like_a_submission(finished: tuple[LocalFlow, Run, Release]) -> None:
    flow, run, _ = finished
    for setting, said in {
        "select.diversity.strategy=nobody": "'nobody' is unknown",
        "select.curriculum.by=nothing": "no weighted score",
        "select.novelty={index: seen, version: gone}": "has no version 'gone'",
        "select.mixing={kind: scores, file: gone.json}": "gives no shares",
        "select.window.count=5": "windows are cut where data enters",
        "score.weights={quality: 0}": "add up to 0",
    }.items():
        with pytest.raises(RunSpecError, match=said):
            select_again(flow.transport.reader, run, 0, [setting])


def test_a_window_that_is_not_the_last_gives_its_very_release_again(tmp_path: Path) -> None:
    write_lake(tmp_path, "a.jsonl", rows(80))
    flow, run = LocalFlow(tmp_path), planned(tmp_path, select={"target": 5, "window": {"count": 40}})
    releases = flow.run(run)[0].releases
    assert [releases[window].last for window in (0, 1)] == [False, True]
    for window, release in releases.items():
        assert select_again(flow.transport.reader, run, window).manifest() == release.manifest()


def test_what_would_need_a_model_or_is_not_there_is_refused(finished: tuple[LocalFlow, Run, Release]) -> None:
    flow, run, _ = finished
    for setting in ("score.ifd.definition=perplexity_ratio", "select.target", "verify.checks.privacy=false"):
        with pytest.raises(RunSpecError, match="cannot be set here"):
            select_again(flow.transport.reader, run, 0, [setting])
    with pytest.raises(RunSpecError, match="did you mean 'target'"):
        select_again(flow.transport.reader, run, 0, ["select.targe=3"])
    with pytest.raises(UsageError, match=r"window 4 on the topics \(windows there: 0\)"):
        select_again(flow.transport.reader, run, 4)


def test_the_command_line_says_it(
    finished: tuple[LocalFlow, Run, Release], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flow, run, release = finished

    @contextmanager
    def connected() -> Iterator[LocalTransport]:
        yield flow.transport

    monkeypatch.setattr(releases, "connected", connected)
    manifest = tmp_path / "other.json"
    what_if = ["release", "what-if", run.run_id, "select.target=7", "-o", str(manifest)]
    said = CliRunner().invoke(main.app, what_if, catch_exceptions=False)
    assert said.output.startswith("20 rows before, 7 after")
    assert len(Release.model_validate_json(manifest.read_bytes()).rows) == 7
    early = CliRunner().invoke(main.app, ["release", "early", run.run_id], catch_exceptions=False)
    assert early.output.startswith("window 0: best set so far 20 of 20 rows, scores ")
    monkeypatch.setattr(runs, "connected", connected)
    assert "best set so far" not in CliRunner().invoke(main.app, ["status", run.run_id, "--best"]).output
    # As if the window had not ended: its release is not on the topics yet.
    monkeypatch.setattr(progress_of, "results_of", lambda *_: progress_of.Results())
    status = CliRunner().invoke(main.app, ["status", run.run_id, "--best"], catch_exceptions=False)
    assert "window 0: best set so far 20 of 20 rows" in status.output
    unknown = CliRunner().invoke(main.app, ["release", "early", "nothing"])
    assert isinstance(unknown.exception, UsageError)
    assert release.rows


def test_the_next_run_adds_what_is_new(finished: tuple[LocalFlow, Run, Release], tmp_path: Path) -> None:
    flow, run, release = finished
    version = index_releases([release], flow.transport.reader, tmp_path / "seen")
    spec = changed_spec(run.spec, ["select.novelty.index=seen", "name=next"], ["select.", "name"])
    assert pinned_version(spec, tmp_path) == version
    models = {**run.models, NOVELTY: version}
    following = Run(run_id="next-1", spec=spec, folder=str(tmp_path), models=models)
    second = only(flow.run(following)[0])
    assert second.statistics["novelty"]["version"] == version
    assert len(second.rows) > 10
    assert not {row.content_hash for row in second.rows} & {row.content_hash for row in release.rows}
    assert second.funnel["rejected"]["selector/text_already_released"] >= 20
    assert flow.audit(following).passed
    assert index_releases([release], flow.transport.reader, tmp_path / "seen") == version
