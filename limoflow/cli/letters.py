"""`limoflow dlq`: dead letters, and their way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from limoflow.cli.place import connected
from limoflow.errors import PoisonError, UsageError
from limoflow.redaction import redacted
from limoflow.stream.types import LogReader, Record

if TYPE_CHECKING:
    from schemas.dead_letter import DeadLetter

app = typer.Typer(help="Dead letters: list, show, replay.", no_args_is_help=True)
Stage = Annotated[str | None, typer.Option(help="Only those of this stage.")]
RunId = Annotated[str | None, typer.Option("--run", help="Only those of this run.")]


class _Letters:
    """The dead letters that were asked for; those that cannot be read are passed over, and told of at the end."""

    def __init__(self, reader: LogReader, stage: str | None = None, run_id: str | None = None) -> None:
        self._reader = reader
        self._stage = stage
        self._run_id = run_id
        self.faults: list[str] = []

    def __iter__(self) -> Iterator[tuple[Record, DeadLetter]]:
        from limoflow.stream.dead_letters import read_dead_letter
        from schemas.topics import dead_letters_of

        stage = self._stage
        for record in self._reader.read(self._wanted()):
            try:
                letter = read_dead_letter(record)
            except PoisonError as error:
                self.faults.append(str(error))
                continue
            is_asked = stage is None or record.topic == dead_letters_of(stage) or letter.stage == stage
            if is_asked and self._run_id in (None, letter.run_id):
                yield record, letter

    def _wanted(self) -> list[str]:
        from schemas.topics import dead_letters_of, topics

        wanted = [name for name in topics() if name.startswith("dlq.")]
        if self._stage is None:
            return wanted
        known = [name.removeprefix("dlq.") for name in wanted]
        # Both levels of the selector write to its topic: `selector-merge` is the second alone.
        wanted = [dead_letters_of(name) for name in known if self._stage == name or self._stage.startswith(f"{name}-")]
        if not wanted:
            raise UsageError(f"stage {self._stage!r} has no dead-letter topic; the stages are {', '.join(known)}")
        return wanted

    def tell_faults(self) -> None:
        """Say on standard error which were passed over, and why."""
        for fault in self.faults:
            typer.echo(f"passed over: {redacted(fault)}", err=True)


@app.command("list")
def list_letters(stage: Stage = None, run_id: RunId = None) -> None:
    """List dead letters, one a line: id, stage, error."""
    with connected() as transport:
        letters = _Letters(transport.reader, stage, run_id)
        for _, letter in letters:
            first_line = letter.error.splitlines()[0] if letter.error else ""
            typer.echo(f"{letter.sample_id}  {letter.stage:<10} {letter.error_class}: {first_line[:120]}")
    letters.tell_faults()


@app.command("show")
def show_letter(sample_id: str) -> None:
    """Show everything known of a dead letter, and its original bytes."""
    found = False
    with connected() as transport:
        letters = _Letters(transport.reader)
        for record, letter in letters:
            if letter.sample_id == sample_id:
                found = True
                typer.echo(letter.model_dump_json(indent=2))
                typer.echo((record.value or b"").decode("utf-8", "backslashreplace"))
    letters.tell_faults()
    if not found:
        raise UsageError(f"no dead letter of {sample_id!r}; `limoflow dlq list` names them")


@app.command("replay")
def replay_letters(
    sample_ids: Annotated[list[str] | None, typer.Argument(help="Which; all where none is named.")] = None,
    stage: Stage = None,
    run_id: RunId = None,
) -> None:
    """Put dead letters back on the topic that they came from; rows of files came from none."""
    from limoflow.stream.dead_letters import replay
    from schemas.topics import topics

    with connected() as transport:
        emits, unread = [], 0
        letters = _Letters(transport.reader, stage, run_id)
        for record, letter in letters:
            if sample_ids and letter.sample_id not in sample_ids:
                continue
            if letter.topic not in topics():
                unread += 1
                continue
            try:
                emits.append(replay(record))
            except PoisonError as error:
                letters.faults.append(str(error))
        transport.sender.send(emits)
    typer.echo(f"replayed {len(emits)}")
    if unread:
        typer.echo(f"left {unread} that came from files: mend the rows in their files and submit the run with --fresh")
    letters.tell_faults()
