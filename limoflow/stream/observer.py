"""What the runners tell about their work; limoflow.observe turns it into metrics."""

from __future__ import annotations

from typing import Protocol


class StreamObserver(Protocol):
    """Hears of every record and commit. Calls come from several threads and must not block."""

    def handled(self, stage: str, outcome: str, seconds: float) -> None:
        """Hear that a record left the handler: `done` or `dead_lettered`, retries counted into the seconds."""
        ...

    def processed(self, stage: str, records: int) -> None:
        """Hear that a task finished a batch of records, their outputs committed."""
        ...

    def rejected(self, stage: str, reason: str, samples: int = 1) -> None:
        """Hear that a task refused samples."""
        ...

    def retried(self, stage: str, error_class: str) -> None:
        """Hear that a handler failed and will be tried again."""
        ...

    def dead_lettered(self, stage: str, error_class: str) -> None:
        """Hear that a record went to the dead-letter topic."""
        ...

    def in_flight(self, stage: str, count: int) -> None:
        """Hear how many records are begun and not yet acknowledged."""
        ...

    def lag(self, stage: str, topic: str, partition: int, records: int) -> None:
        """Hear how many records of a partition lie behind the acknowledged position."""
        ...

    def assigned(self, stage: str, partitions: int) -> None:
        """Hear how many partitions this worker reads."""
        ...

    def committed(self, stage: str, seconds: float) -> None:
        """Hear that positions were committed, and how long that took."""
        ...


class SilentObserver:
    """An observer that keeps nothing."""

    def handled(self, stage: str, outcome: str, seconds: float) -> None:
        """Keep nothing."""

    def processed(self, stage: str, records: int) -> None:
        """Keep nothing."""

    def rejected(self, stage: str, reason: str, samples: int = 1) -> None:
        """Keep nothing."""

    def retried(self, stage: str, error_class: str) -> None:
        """Keep nothing."""

    def dead_lettered(self, stage: str, error_class: str) -> None:
        """Keep nothing."""

    def in_flight(self, stage: str, count: int) -> None:
        """Keep nothing."""

    def lag(self, stage: str, topic: str, partition: int, records: int) -> None:
        """Keep nothing."""

    def assigned(self, stage: str, partitions: int) -> None:
        """Keep nothing."""

    def committed(self, stage: str, seconds: float) -> None:
        """Keep nothing."""
