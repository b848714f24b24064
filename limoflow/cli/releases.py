"""`limoflow release`: what was released, and how two releases differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limoflow.cli.place import connected, home
from limoflow.errors import UsageError

if TYPE_CHECKING:
    from limoflow.stream.types import Transport
    from schemas.release import Release

app = typer.Typer(help="Releases: list, show, compare, export.", no_args_is_help=True)


def read_releases() -> list[Release]:
    """Return the releases on the broker and those whose folders lie in the home folder, each once."""
    from limoflow.releases import exported_releases, published_releases

    found = {release.release_id: release for release in exported_releases(home().releases)}
    try:
        with connected() as transport:
            found |= {release.release_id: release for release in published_releases(transport.reader)}
    except UsageError:
        if not found:
            raise
    return sorted(found.values(), key=lambda release: (release.run_id, release.window))


def find_release(name: str) -> Release:
    """Return the release whose id begins with `name`, or the newest window of the run of that name.

    Raises
    ------
    UsageError
        When none or several fit.
    """
    releases = read_releases()
    fitting = [release for release in releases if release.release_id.startswith(name)]
    if len(fitting) > 1:
        raise UsageError(f"{name!r} fits {len(fitting)} releases; give more digits")
    of_run = [release for release in releases if release.run_id == name]
    if not fitting and not of_run:
        raise UsageError(f"no release {name!r}; `limoflow release list` names them")
    return fitting[0] if fitting else of_run[-1]


@app.command("list")
def list_releases() -> None:
    """List releases, one a line: id, run, window, rows, target."""
    for release in read_releases():
        typer.echo(
            f"{release.release_id}  {release.run_id}  window {release.window}  "
            f"{len(release.rows)} of {release.target} rows"
        )


@app.command("show")
def show_release(release: Annotated[str, typer.Argument(help="Release id (or its beginning), or run id.")]) -> None:
    """Print the manifest."""
    typer.echo(find_release(release).model_dump_json(indent=2))


@app.command("diff")
def diff_releases(first: str, second: str) -> None:
    """Print what the second release has that the first has not, and the other way round."""
    from limoflow.releases import difference

    for line in difference(find_release(first), find_release(second)):
        typer.echo(line)


@app.command("what-if")
def what_if(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run id.")],
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="key=value ...", help="select.*, score.weights.*, score.thresholds.*, score.combine, seed."
        ),
    ],
    window: Annotated[
        int | None, typer.Option(help="The window; the newest with scored samples where none is named.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the other manifest here.")] = None,
) -> None:
    """Select again from the recorded scores with other settings, and print what would change. No model is called."""
    from limoflow.releases import difference

    with connected() as transport:
        before = _selected(transport, run_id, window, [])
        after = _selected(transport, run_id, window, settings)
    for line in difference(before, after):
        typer.echo(line)
    _write(after, output)


@app.command("early")
def early_release(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run id.")],
    window: Annotated[
        int | None, typer.Option(help="The window; the newest with scored samples where none is named.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the manifest here.")] = None,
) -> None:
    """Print the best set so far: the release that the window would give if it ended now. Nothing is finalized."""
    from limoflow.report import best_set_lines

    with connected() as transport:
        early = _selected(transport, run_id, window, [])
    for line in best_set_lines(early):
        typer.echo(line)
    _write(early, output)


def _selected(transport: Transport, run_id: str, window: int | None, settings: list[str]) -> Release:
    from limoflow.progress_of import runs_of
    from limoflow.wiring.again import scored_windows, select_again

    runs = runs_of(transport)
    if run_id not in runs:
        raise UsageError(f"no run {run_id!r}; `limoflow status` names the runs")
    windows = scored_windows(transport.reader, run_id) if window is None else [window]
    return select_again(transport.reader, runs[run_id], windows[-1] if windows else 0, settings)


def _write(release: Release, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(release.manifest())
        typer.echo(f"manifest written to {output}")


@app.command("index")
def index_releases(
    folder: Annotated[Path, typer.Argument(help="Folder of the novelty index; made where it is missing.")],
    names: Annotated[list[str], typer.Argument(metavar="RELEASE ...", help="Release ids (or beginnings), or run ids.")],
) -> None:
    """Add releases to a novelty index, against which `select.novelty.index` holds what comes next."""
    from limoflow.wiring.novelty import index_releases as add

    releases = [find_release(name) for name in names]
    with connected() as transport:
        typer.echo(f"{folder} holds version {add(releases, transport.reader, folder)}")


@app.command("export")
def export_release(
    release: Annotated[str, typer.Argument(help="Release id (or its beginning), or run id.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder in which the release folder is made.")],
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="Formats; the run's own where none is named.")
    ] = None,
) -> None:
    """Write a release again, to another place or in other formats."""
    from limoflow.wiring.plan import write_release

    manifest = find_release(release)
    with connected() as transport:
        typer.echo(write_release(manifest, transport.reader, folder, formats or []))
