"""Which file of a run comes next: sources in the order of the spec, files by name, new ones once they are stable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.run import RunSpec
from services.ingestor.sources import ImpossibleSource, NothingMatches, SourceError, SourceKind, Unit
from services.ingestor.state import FileProgress


class Pending(NamedTuple):
    """A file to be read, or the reason why a source has none."""

    origin: int
    key: str
    unit: Unit
    fault: SourceError | None = None


class FileQueue:
    """The files of one run that are still to be read.

    Parameters
    ----------
    spec : RunSpec
    kinds : mapping of str to SourceKind
    files : mapping of str to FileProgress
        What is known of files that were begun.
    clock : callable
        Seconds.
    scan_seconds : float
        Time between two scans of followed sources.
    on_fault : callable
        Called with the reason why a followed source could not be listed, each time; it is looked at again.
    """

    def __init__(
        self,
        spec: RunSpec,
        kinds: Mapping[str, SourceKind],
        files: Mapping[str, FileProgress],
        clock: Callable[[], float],
        scan_seconds: float,
        on_fault: Callable[[SourceError], None],
    ) -> None:
        self._on_fault = on_fault
        self._spec = spec
        self._kinds = kinds
        self._clock = clock
        self._scan_seconds = scan_seconds
        self._done = {key for key, progress in files.items() if progress.done}
        self._begun = {key for key, progress in files.items() if not progress.done}
        self._queued: set[str] = set()
        self._ready: deque[Pending] = deque()
        self._sizes: dict[str, tuple[int, float]] = {}
        self._listed = False
        self._next_scan = 0.0

    @property
    def follows(self) -> bool:
        """Whether any source is followed."""
        return any(source.follow for source in self._spec.sources)

    def head(self) -> Pending | None:
        """Return the file whose turn it is, or None while there is none."""
        if not self._ready:
            self._scan()
        return self._ready[0] if self._ready else None

    def done(self) -> None:
        """Take the head off: it was read to its end."""
        pending = self._ready.popleft()
        self._done.add(pending.key)
        self._queued.discard(pending.key)

    def settled(self) -> bool:
        """Look at followed sources once more, now, and tell whether nothing is left, growing files counted in."""
        self._next_scan = 0.0
        return self.head() is None and not self._sizes

    def _scan(self) -> None:
        now = self._clock()
        if self._listed and (not self.follows or now < self._next_scan):
            return
        self._next_scan = now + self._scan_seconds
        found: list[Pending] = []
        for index, source in enumerate(self._spec.sources):
            if source.follow or not self._listed:
                found += self._found(index, now)
        self._listed = True
        # What was begun goes first, so that a restart continues where the order of admission stopped.
        self._ready.extend(sorted(found, key=lambda pending: pending.key not in self._begun))
        self._queued.update(pending.key for pending in found)

    def _found(self, index: int, now: float) -> list[Pending]:
        source = self._spec.sources[index]
        try:
            units = self._kinds[source.kind].units(source)
        except SourceError as error:
            key = f"{index}:"
            self._forget_vanished(index, set())
            if key in self._done:
                return []
            if source.follow and not isinstance(error, ImpossibleSource):
                if not isinstance(error, NothingMatches):
                    self._on_fault(error)
                return []
            return [Pending(index, key, Unit("", source.path, 0), error)]
        fresh = [Pending(index, f"{index}:{unit.name}", unit) for unit in units]
        self._forget_vanished(index, {one.key for one in fresh})
        fresh = [one for one in fresh if one.key not in self._done and one.key not in self._queued]
        return [one for one in fresh if not source.follow or self._is_stable(one, source.settle_seconds, now)]

    def _forget_vanished(self, index: int, present: set[str]) -> None:
        for key in [key for key in self._sizes if key.startswith(f"{index}:") and key not in present]:
            del self._sizes[key]

    def _is_stable(self, pending: Pending, settle_seconds: float, now: float) -> bool:
        if pending.key in self._begun:
            return True
        size, since = self._sizes.get(pending.key, (-1, now))
        if size != pending.unit.size:
            size, since = pending.unit.size, now
            self._sizes[pending.key] = (size, since)
        stable = now - since >= settle_seconds
        if stable:
            self._sizes.pop(pending.key, None)
        return stable
