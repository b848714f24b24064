"""The gate of the ingestor: which submitted runs have been let in, which wait, and what has been said of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationError

from limoflow.errors import InvariantBroken, UsageError
from limoflow.redaction import redacted
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit, Record
from schemas.admission import Admission
from schemas.headers import event_headers
from schemas.run import Run
from schemas.topics import ADMISSIONS
from services.ingestor.admission import Decision, Refused, Waiting, decide
from services.ingestor.state import RunProgress
from services.ingestor.tenants import Tenants

STAGE = "ingestor"


class Submitted(NamedTuple):
    """A run and its newest event."""

    run: Run
    record: Record


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What is to be said of runs; it holds once it is written."""

    emits: list[Emit]
    said: list[Admission]


class Gate:
    """Decides on runs, once for each event of a run; a run that has begun is never stopped by a later change.

    Parameters
    ----------
    tenants : Tenants
    version : str
        The ingestor's, for dead letters.
    """

    def __init__(self, tenants: Tenants, version: str) -> None:
        self._tenants = tenants
        self._version = version
        self._submitted: dict[str, Submitted] = {}
        self._said: dict[str, Admission] = {}
        self._over: dict[str, int | None] = {}
        self._released: set[tuple[str, int]] = set()
        self._unreadable: dict[str, Admission] = {}
        self._changed = True

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._submitted

    def run(self, run_id: str) -> Run:
        """Return a submitted run, as its newest event has it."""
        return self._submitted[run_id].run

    def admitted(self) -> list[str]:
        """Return the runs that were let in, those that are over too."""
        return [run_id for run_id in self._submitted if self._is_in(run_id)]

    def max_rows(self, run_id: str) -> int | None:
        """Return how many rows of a run may be read, as fixed when it was let in."""
        said = self._said.get(run_id)
        return None if said is None else said.max_rows

    def submit(self, run: Run, record: Record) -> None:
        """Take note of an event of a run."""
        self._submitted[run.run_id] = Submitted(run, record)
        self._unreadable.pop(run.run_id, None)
        self._changed = True

    def withdraw(self, run_id: str) -> None:
        """Forget a run."""
        self._submitted.pop(run_id, None)
        self._changed = True

    def released(self, records: Iterable[Record]) -> None:
        """Take note of releases, by their keys."""
        for record in records:
            run_id, _, window = (record.key or b"").decode("utf-8", "replace").rpartition("|")
            if record.value is not None and window.isdecimal():
                self._released.add((run_id, int(window)))
                self._changed = True

    def over(self, run_id: str, last_window: int | None) -> None:
        """Take note that a run was read to its end; its place is free once its last window is released."""
        self._over[run_id] = last_window
        self._changed = True

    def recall(self, records: Iterable[Record], progress: Mapping[str, RunProgress]) -> None:
        """Take note of what earlier workers said and did.

        Raises
        ------
        InvariantBroken
            When a record of `admissions` cannot be read: going on could cut a run elsewhere.
        """
        for record in records:
            if record.value is None:
                self._said.pop((record.key or b"").decode("utf-8", "replace"), None)
                continue
            try:
                said = Admission.model_validate_json(record.value)
            except ValidationError as error:
                raise InvariantBroken(f"{ADMISSIONS}@{record.offset} cannot be read: {error}") from error
            self._said[said.run_id] = said
        for run_id, one in progress.items():
            # Runs that began before there were admissions are in, without bounds.
            if run_id not in self._said:
                self._said[run_id] = Admission(run_id=run_id, state="admitted")
            if one.finished:
                self._over[run_id] = one.last_window
        self._changed = True

    def verdicts(self) -> Verdicts | None:
        """Return what there is to be said, or None; the same until it is `settled` or something changes."""
        if not self._changed:
            return None
        waiting = sorted(
            (one for run_id, one in self._submitted.items() if self._is_open(run_id, one)),
            key=lambda one: one.record.offset,
        )
        made = Verdicts([], [])
        for run_id, said in self._unreadable.items():
            earlier = self._said.get(run_id)
            if earlier is None or (earlier.state != "admitted" and earlier.offset < said.offset):
                made.said.append(said)
                made.emits.append(admission_emit(said))
        for run_id, decision in decide([one.run for one in waiting], self._running(), self._tenants).items():
            said = _admission(self._submitted[run_id], decision)
            if said != self._said.get(run_id):
                made.said.append(said)
                made.emits.append(admission_emit(said))
                run, record = self._submitted[run_id]
                # What somebody asked for is no fault.
                if isinstance(decision, Refused) and run.state != "stopping":
                    made.emits.append(self._letter(record, UsageError(decision.reason)))
        self._changed = bool(made.said)
        return made if made.said else None

    def settled(self, verdicts: Verdicts) -> None:
        """Take verdicts as written."""
        self._said |= {said.run_id: said for said in verdicts.said}

    def unreadable(self, record: Record, error: Exception) -> Emit:
        """Take note of an event that is no run that can be read, and return its dead letter."""
        run_id = (record.key or b"").decode("utf-8", "replace")
        # What an earlier event of the run said stands.
        if run_id and run_id not in self._submitted:
            reason = redacted(str(error))[:2000]
            self._unreadable[run_id] = Admission(run_id=run_id, state="refused", reason=reason, offset=record.offset)
            self._changed = True
        return self._letter(record, error)

    def _is_in(self, run_id: str) -> bool:
        said = self._said.get(run_id)
        return said is not None and said.state == "admitted"

    def _is_open(self, run_id: str, one: Submitted) -> bool:
        """Whether a run is still to be decided on: it waits, or this event of it is new."""
        said = self._said.get(run_id)
        return said is None or said.state == "waiting" or (said.state == "refused" and said.offset < one.record.offset)

    def _running(self) -> dict[str, str | None]:
        return {
            run_id: one.run.spec.tenant
            for run_id, one in self._submitted.items()
            if self._is_in(run_id) and not self._is_over(run_id)
        }

    def _is_over(self, run_id: str) -> bool:
        if run_id not in self._over:
            return False
        last = self._over[run_id]
        return last is None or (run_id, last) in self._released

    def _letter(self, record: Record, error: Exception) -> Emit:
        return dead_letter(record, stage=STAGE, version=self._version, error=error, attempts=1)


def admission_emit(said: Admission) -> Emit:
    """Return the record of an admission."""
    headers = event_headers("admission.v1", said.run_id, STAGE, runid=said.run_id)
    return Emit(ADMISSIONS, said.run_id.encode(), said.to_bytes(), headers)


def _admission(submitted: Submitted, decision: Decision) -> Admission:
    run, offset = submitted.run, submitted.record.offset
    if isinstance(decision, Refused | Waiting):
        state = "refused" if isinstance(decision, Refused) else "waiting"
        return Admission.model_validate(
            {
                "run_id": run.run_id,
                "state": state,
                "tenant": run.spec.tenant,
                "reason": decision.reason,
                "offset": offset,
            }
        )
    return Admission(
        run_id=run.run_id, state="admitted", tenant=run.spec.tenant, offset=offset, max_rows=decision.max_rows
    )
