"""The entry point: assembles the commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import sys

import typer

from limoflow.cli import apply, contract, letters, models, releases, runs, stack
from limoflow.errors import LimoflowError
from limoflow.redaction import redacted

app = typer.Typer(
    name="limoflow",
    help="Raw instruction data in; small, verified, diverse fine-tuning sets out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(stack.up)
app.command()(stack.down)
app.command()(stack.scale)
app.command()(stack.doctor)
app.command()(runs.run)
app.command()(runs.close)
app.command()(runs.stop)
app.command()(runs.status)
app.command()(runs.audit)
app.command()(runs.explain)
app.command()(apply.apply)
app.add_typer(releases.app, name="release")
app.add_typer(letters.app, name="dlq")
app.add_typer(models.app, name="models")
app.add_typer(contract.app, name="schema")


def main() -> None:
    """Run the command line; exit 0 done, 1 the run failed, 2 wrong use, 3 a dependency is missing."""
    try:
        app()
    except LimoflowError as error:
        typer.echo(f"error: {redacted(str(error))}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
