"""`limoflow apply LAYER`: one layer, file to file, no Kafka."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from limoflow.cli.place import home


class LayerName(StrEnum):
    """The layers that work file to file."""

    GENERATE = "generate"
    VERIFY = "verify"
    SCORE = "score"
    SELECT = "select"


def apply(
    layer: LayerName,
    samples: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="Samples, one JSON object a line.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Samples that passed; the refused go beside it.")],
    run_file: Annotated[Path, typer.Option("--run", help="The RunSpec.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[key=value ...]")] = None,
    fail_on_rejected: Annotated[
        bool, typer.Option("--fail-on-rejected", help="Exit 1 where any sample is refused; the files are written.")
    ] = False,
) -> None:
    """Run one layer file to file; refused samples are written to OUT.rejected.jsonl.

    What came of the samples goes to standard output; for `verify` the verdicts of each check go to standard error.
    """
    from limoflow.spec_file import load_spec
    from limoflow.wiring.files import apply_layer

    spec = load_spec(run_file, settings or [])
    summary = apply_layer(layer.value, spec, samples, output, home(), tell=lambda line: typer.echo(line, err=True))
    for line in summary:
        typer.echo(line)
    if fail_on_rejected and output.with_suffix(".rejected.jsonl").stat().st_size:
        raise typer.Exit(1)
