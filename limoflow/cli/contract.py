"""`limoflow schema`: the contract as JSON Schemas, and the gate that keeps it compatible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limoflow.errors import SchemaError

app = typer.Typer(help="The contract: export the JSON Schemas, check that they are compatible.", no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="Folder of the JSON Schemas.")]


@app.command("export")
def export_schemas(folder: Folder = Path("schemas/json")) -> None:
    """Write the JSON Schemas."""
    from schemas.export_json import BreakingChange, export

    try:
        changed = export(folder)
    except BreakingChange as error:
        raise SchemaError(str(error)) from error
    for path in changed:
        typer.echo(path)


@app.command("check")
def check_schemas(folder: Folder = Path("schemas/json")) -> None:
    """Compare the code's schemas with the committed ones; refuse stale files and breaking changes."""
    from schemas.compatibility import check

    problems = check(folder)
    if problems:
        raise SchemaError("\n".join(problems))
    typer.echo("the contract is unchanged or compatible")
