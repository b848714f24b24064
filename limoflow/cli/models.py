"""`limoflow models`: the embedded causal LM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limoflow.cli.place import home

app = typer.Typer(help="Models that score: build the embedded one, list what there is.", no_args_is_help=True)


@app.command("build")
def build_model(
    spec_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run whose raw data it learns from.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[key=value ...]")] = None,
) -> None:
    """Train the embedded causal LM on the run's raw data, or find it in the cache."""
    from limoflow.spec_file import load_spec
    from limoflow.wiring.plan import build_embedded

    spec = load_spec(spec_file, settings or [])
    typer.echo(build_embedded(spec, Path.cwd(), home(), typer.echo))


@app.command("list")
def list_models() -> None:
    """List the models that were built here."""
    folder = home().models
    for path in sorted(folder.glob("*/model.json")):
        typer.echo(path.parent)
