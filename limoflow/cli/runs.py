"""`limoflow run`, `status`, `audit`, `explain`, `close`, `stop`: a run from its spec to its release."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limoflow.cli.place import connected, home
from limoflow.errors import AuditFailure, LimoflowError, UsageError

if TYPE_CHECKING:
    from limoflow.progress_of import Results
    from limoflow.stream.types import Transport
    from schemas.run import Run, RunState

RunId = Annotated[str, typer.Argument(help="Run id, as `limoflow run` printed it.")]


def say(line: str) -> None:
    """Print a line at once."""
    typer.echo(line)


def run(
    spec_file: Annotated[Path, typer.Argument(metavar="RUN.yaml")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[key=value ...]")] = None,
    profile: Annotated[Path | None, typer.Option(help="A YAML layer below the file.")] = None,
    local: Annotated[bool, typer.Option("--local", help="In this process: no Kafka, no Triton.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Another run, even if this spec has run before.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Submit and return.")] = False,
) -> None:
    """Submit a run, follow it, and print where the release is."""
    from limoflow.spec_file import load_spec
    from limoflow.wiring.plan import plan_run

    spec = load_spec(spec_file, settings or [], profile=profile)
    nonce = uuid.uuid4().hex if fresh else ""
    planned = plan_run(spec, Path.cwd(), home(), tell=say, nonce=nonce, local=local)
    if local:
        from limoflow.wiring.local import run_local

        local_transport, results = run_local(planned, home())
        _conclude(local_transport, planned, results)
        return
    with connected() as transport:
        _submit(transport, planned)
        if not detach:
            from limoflow.following import follow

            _conclude(transport, planned, follow(transport, planned))


def _submit(transport: Transport, planned: Run) -> None:
    from limoflow.progress_of import runs_of
    from limoflow.wiring.plan import run_emit

    transport.ensure_topics()
    known = runs_of(transport).get(planned.run_id)
    if known is not None and known.state != "open":
        say(f"run {planned.run_id} is {known.state} and is not submitted again; --fresh begins another")
        return
    transport.sender.send([run_emit(planned)])
    say(f"run {planned.run_id} submitted")


def _conclude(transport: Transport, planned: Run, results: Results) -> None:
    from limoflow.audit import audit as audit_run
    from limoflow.report import audit_lines, funnel_lines, result_lines

    if results.refused is not None:
        raise UsageError(f"run {planned.run_id} was refused: {results.refused}")
    report = audit_run(transport.reader, planned.run_id)
    for line in (*funnel_lines(report), *audit_lines(report), *result_lines(results)):
        say(line)
    if not report.passed:
        raise AuditFailure(f"run {planned.run_id}: the audit failed; `limoflow explain ID` tells of one sample")
    if results.failures:
        raise LimoflowError(
            f"run {planned.run_id}: {len(results.failures)} step(s) after the release failed, see above"
        )


def close(run_id: RunId) -> None:
    """End a run that follows its sources: its last window is closed."""
    _end(run_id, "closing")


def stop(run_id: RunId) -> None:
    """End a run at once: nothing more is read, samples under way are refused, what was scored is released."""
    _end(run_id, "stopping")


def _end(run_id: str, state: RunState) -> None:
    from limoflow.progress_of import results_of, runs_of
    from limoflow.wiring.plan import run_emit

    with connected() as transport:
        found = _known(runs_of(transport), run_id)
        if results_of(transport, run_id).finished(found):
            say(f"run {run_id} is finished already")
            return
        transport.sender.send([run_emit(found.model_copy(update={"state": state}))])
    say(f"run {run_id} is {state}")


def status(
    run_id: Annotated[str | None, typer.Argument(help="One run; all where none is named.")] = None,
    best: Annotated[
        bool, typer.Option("--best/--no-best", help="Also the best set so far of each open window of the run.")
    ] = True,
) -> None:
    """Show the runs, how far each stage has come, and the funnel of one run."""
    from limoflow.audit import audit as audit_run
    from limoflow.progress_of import results_of, runs_of, stage_progress
    from limoflow.report import funnel_lines, result_lines

    with connected() as transport:
        runs = runs_of(transport)
        for known in runs.values() if run_id is None else [_known(runs, run_id)]:
            results = results_of(transport, known.run_id)
            tenant = "" if known.spec.tenant is None else f"  tenant {known.spec.tenant}"
            say(f"{known.run_id}  {_state(known, results)}, {len(results.releases)} release(s){tenant}")
        for progress in stage_progress(transport.offsets):
            say(f"  {progress.stage:<10} handled {progress.handled:>8}  lag {progress.lag:>8}")
        if run_id is not None:
            for line in (
                *funnel_lines(audit_run(transport.reader, run_id)),
                *result_lines(results_of(transport, run_id)),
            ):
                say(line)
            for line in _best_sets(transport, runs[run_id]) if best else ():
                say(line)


def _state(run: Run, results: Results) -> str:
    if results.refused is not None:
        return f"refused ({results.refused})"
    if results.waiting is not None:
        return f"waiting ({results.waiting})"
    return "finished" if results.finished(run) else run.state


def _best_sets(transport: Transport, run: Run) -> Iterator[str]:
    """Describe what each window without a release would release if it ended now."""
    from limoflow.progress_of import results_of
    from limoflow.report import best_set_lines
    from limoflow.wiring.again import scored_windows, select_again

    released = results_of(transport, run.run_id).releases
    for window in scored_windows(transport.reader, run.run_id):
        if window not in released:
            yield from best_set_lines(select_again(transport.reader, run, window, last=False))


def audit(run_id: RunId) -> None:
    """Prove that every admitted sample of a run ended exactly once, or list those that did not."""
    from limoflow.audit import audit as audit_run
    from limoflow.progress_of import runs_of
    from limoflow.report import audit_lines, funnel_lines

    with connected() as transport:
        _known(runs_of(transport), run_id)
        report = audit_run(transport.reader, run_id)
    for line in (*funnel_lines(report), *audit_lines(report)):
        say(line)
    if not report.passed:
        raise AuditFailure(f"run {run_id}: the audit failed, or the run still flows (`limoflow status {run_id}`)")


def explain(
    sample_id: Annotated[str, typer.Argument(metavar="ID")],
    run_id: Annotated[str | None, typer.Option("--run", help="Only in this run.")] = None,
) -> None:
    """Tell everything known of one sample: its way, its verdicts, its scores, why it was chosen or refused."""
    import orjson

    from limoflow.explain import explain as explain_sample

    with connected() as transport:
        explanation = explain_sample(transport.reader, sample_id, run_id)
    if not explanation.sightings:
        raise UsageError(f"no sample {sample_id!r} on any topic; `limoflow release show` and `dlq list` name ids")
    for seen in explanation.sightings:
        say(f"{seen.topic} [{seen.partition}]@{seen.offset}  " + _said_in(seen.headers))
    last = explanation.sightings[-1].value
    say(orjson.dumps(_shortened(last), option=orjson.OPT_INDENT_2).decode())
    for release, row in explanation.chosen:
        say(f"chosen for {release.release_id} (run {release.run_id}, window {release.window}) at rank {row.rank}")
    if explanation.parent:
        say(f"parent: {explanation.parent}")
    for line in _selection_of(last):
        say(line)


def _selection_of(sample: Any) -> Iterator[str]:
    """Say in words why the selector chose or refused a sample."""
    from services.selector.app import MEANING

    metadata = sample.get("metadata") if isinstance(sample, dict) else None
    filtering = (metadata or {}).get("filtering") or {}
    reason = filtering.get("reason")
    if reason in MEANING:
        shown = (f"{name} {filtering[name]}" for name in ("value", "bound", "nearest") if name in filtering)
        yield f"{reason}: {MEANING[reason]} ({', '.join(shown) or 'no bound'})"


def _said_in(headers: dict[str, str]) -> str:
    names = ("ce_runid", "ce_window", "ce_reason")
    return " ".join(f"{name.removeprefix('ce_')}={headers[name]}" for name in names if name in headers)


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "..." if key == "embedding" else _shortened(part) for key, part in value.items()}
    return value


def _known(runs: dict[str, Run], run_id: str) -> Run:
    if run_id not in runs:
        raise UsageError(f"run {run_id!r} is unknown; known: {', '.join(sorted(runs)) or 'none'}")
    return runs[run_id]
