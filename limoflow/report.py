"""What a finished run tells: the funnel, the audit's result, where things lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from limoflow.audit import AuditReport
from limoflow.progress_of import Results
from schemas.release import Release

_SHOWN = 5


def funnel_lines(report: AuditReport) -> Iterator[str]:
    """Describe where the samples of a run ended, by reason."""
    yield f"admitted        {report.admitted:>8}"
    yield f"finalized       {report.finalized:>8}"
    yield f"rejected        {sum(report.rejected.values()):>8}"
    for reason, count in sorted(report.rejected.items(), key=lambda item: (-item[1], item[0])):
        yield f"  {count:>8}  {reason}"
    yield f"dead-lettered   {sum(report.dead_lettered.values()):>8}"
    for stage, count in sorted(report.dead_lettered.items()):
        yield f"  {count:>8}  {stage}"


def audit_lines(report: AuditReport) -> Iterator[str]:
    """Describe whether every admitted sample ended exactly once, or which did not."""
    if report.passed:
        yield (
            f"audit passed: {report.admitted} admitted, each ended exactly once "
            f"({report.repeats} repeated records, {report.superseded} superseded)"
        )
        return
    yield "audit FAILED"
    for what, ids in (("missing", report.missing), ("doubled", report.doubled), ("foreign", report.foreign)):
        if ids:
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            yield f"  {what}: {len(ids)} ({', '.join(ids[:_SHOWN])}{more})"


def best_set_lines(release: Release) -> Iterator[str]:
    """Describe the set that a window would give now."""
    scores = sorted(row.score for row in release.rows)
    yield (
        f"window {release.window}: best set so far {len(release.rows)} of {release.target} rows"
        + (f", scores {scores[0]:.3f} to {scores[-1]:.3f}" if scores else "")
    )
    for stratum, count in sorted(Counter(row.stratum for row in release.rows).items()):
        yield f"  {count:>8}  {stratum}"


def result_lines(results: Results) -> Iterator[str]:
    """Describe each release: rows, folder, adapter."""
    for window, release in sorted(results.releases.items()):
        short = f", {release.shortfall} fewer than the target: no more survived" if release.shortfall else ""
        yield f"release {release.release_id} window {window}: {len(release.rows)} rows{short}"
        if release.stopped is not None:
            yield f"  stopped {release.stopped}"
        export = results.exports.get(release.release_id)
        if export is not None:
            yield f"  folder  {export.folder}"
        model = results.models.get(release.release_id)
        if model is not None:
            losses = [point.loss for point in model.losses]
            trend = f", loss {losses[0]:.3f} to {losses[-1]:.3f} nats per token" if losses else ""
            yield f"  adapter {model.adapter} ({model.steps} steps{trend})"
    for what, error in sorted(results.failures.items()):
        yield f"FAILED {what}: {error}"
