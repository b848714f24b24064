"""The figures of a soak, each with the bound that it must keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.figures import Figure
from benchmarks.soak.course import Outcome
from benchmarks.soak.judge import flatness, rise, silence, slope, totals
from schemas.release import Release

MEBIBYTE = 2**20
FLAT_PERCENT = 10.0
# What a stage may have to catch up with after the longest fault, counted in seconds of the feed.
LAG_S = 60.0
SILENCE_S = 90.0
UNTOLD = ("source_ref",)


def figures(outcome: Outcome, rate: float, warm_up_s: float) -> list[Figure]:
    """Return what was measured; every figure that has a goal must reach it."""
    return [*_flow(outcome), *_equality(outcome), *_lag(outcome, rate, warm_up_s), *_memory(outcome, warm_up_s)]


def _flow(outcome: Outcome) -> Iterator[Figure]:
    report = outcome.report
    yield Figure("soak: time of the feed", outcome.seconds / 60, "min")
    for kind, count in sorted(outcome.suffered.items()):
        yield Figure(f"soak: faults: {kind}", count, "")
    yield Figure("soak: processes started anew", sum(outcome.restarts.values()), "")
    yield Figure("soak: passed the network", outcome.passed_bytes / MEBIBYTE, "MiB")
    yield Figure("soak: rows fed", outcome.fed, "rows")
    yield Figure("soak: rows fed that were not admitted", abs(outcome.fed - outcome.admitted), "rows", 0, below=True)
    astray = len(report.missing) + len(report.doubled) + len(report.foreign)
    yield Figure("soak: audit: samples missing, doubled or foreign", astray, "samples", 0, below=True)
    yield Figure("soak: records that said again what another had said", report.repeats, "records")
    yield Figure("soak: releases", len(outcome.releases), "", 1)
    yield Figure("soak: from the last row to the last release", outcome.drained_s, "s")


def _equality(outcome: Outcome) -> Iterator[Figure]:
    """Compare with the calm run; the last window of either holds what was left over, so it is passed over."""
    shared = [
        window
        for window, calm in outcome.calm.items()
        if not calm.last and window in outcome.releases and not outcome.releases[window].last
    ]
    if outcome.calm:
        differing = sum(_told(outcome.releases[window]) != _told(outcome.calm[window]) for window in shared)
        yield Figure("soak: windows made again, undisturbed", len(shared), "", 1)
        yield Figure("soak: of these, with another release", differing, "", 0, below=True)


def _told(release: Release) -> dict[str, Any]:
    """Return all that two runs over the same rows in other folders must share."""
    whole = release.model_dump(mode="json", include={"rows", "funnel", "statistics", "quotas", "target", "shortfall"})
    whole["rows"] = [{name: part for name, part in row.items() if name not in UNTOLD} for row in whole["rows"]]
    return whole


def _lag(outcome: Outcome, rate: float, warm_up_s: float) -> Iterator[Figure]:
    lags = {stage: [(at, lag) for at, _, lag in looks if at >= warm_up_s] for stage, looks in outcome.progress.items()}
    total = totals(lags)
    bound = rate * LAG_S
    growth = rise(total, 4)
    if growth is not None:
        yield Figure("soak: lag: last quarter above the first", growth, "records", bound, below=True)
    if total:
        trend = slope(total) * (total[-1][0] - total[0][0])
        yield Figure("soak: lag: trend over the whole time", trend, "records", bound, below=True)
    yield Figure("soak: lag: in the end", outcome.lag_left, "records", 0, below=True)
    yield Figure("soak: lag: largest", max((lag for _, lag in total), default=0.0), "records")
    for stage, looks in sorted(outcome.progress.items()):
        yield Figure(f"soak: longest silence: {stage}", silence(looks), "s", SILENCE_S, below=True)
    yield Figure("soak: times the broker did not answer the watch", outcome.unanswered, "")


def _memory(outcome: Outcome, warm_up_s: float) -> Iterator[Figure]:
    for role, found in flatness(outcome.memory, warm_up_s).items():
        yield Figure(f"soak: memory: {role}", found.median_bytes / MEBIBYTE, "MiB")
        for words, growth in (("over all lives", found.across), ("in its longest life", found.within)):
            if growth is not None:
                yield Figure(f"soak: memory: {role}: growth {words}", growth * 100, "%", FLAT_PERCENT, below=True)
