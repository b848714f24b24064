"""What the runners tell a tracer; limoflow.observe.tracing implements it. A trace travels in the headers of records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from limoflow.stream.types import Emit, Record


class StreamSpan(Protocol):
    """The handling of one sampled record."""

    def outcome(self, word: str, error: Exception | None) -> None:
        """Hear how it ended."""
        ...

    def carried(self, emit: Emit) -> Emit:
        """Return an output with this span in its headers, in place of what was there."""
        ...


class StreamTracer(Protocol):
    """Makes spans of records."""

    def handling(self, stage: str, record: Record) -> AbstractContextManager[StreamSpan | None]:
        """Open the span of a record for as long as it is handled; None for one that is not sampled."""
        ...

    def processing(
        self, task: str, records: Sequence[Record], process: Callable[[Sequence[Record]], Iterable[Emit]]
    ) -> Iterable[Emit]:
        """Process a batch; outputs about a sample (the same `ce_id`) go on in the trace of its record."""
        ...

    def entering(self, task: str) -> Callable[[Emit], Emit]:
        """Return what begins the traces of samples that enter, as far as they are sampled."""
        ...
