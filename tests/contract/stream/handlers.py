"""Stages and tasks whose behaviour the records and a few files steer, so that they work in any process."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from limoflow.errors import DependencyUnavailable, InvariantBroken, PoisonError
from limoflow.stream.types import Emit, Input, Record, TopicPartition


class Steered:
    """Passes records on; what a value begins with says what happens to it.

    `poison`, `fail`, `broken` raise; `flaky` raises twice for each key; `slow` waits as long as the file `hold` exists;
    while the file `outage` exists, every record finds its dependency unavailable.
    """

    version = "1"

    def __init__(
        self,
        name: str,
        topic: str,
        output: str,
        broadcast: Sequence[str] = (),
        hold: str = "",
        outage: str = "",
        jitter_s: float = 0.0,
    ) -> None:
        self.name = name
        self.topic = topic
        self.broadcast = tuple(broadcast)
        self._output = output
        self._hold = hold
        self._outage = outage
        self._jitter_s = jitter_s
        self._observed = 0
        self._tries: dict[bytes | None, int] = defaultdict(int)

    def observe(self, records: Sequence[Record]) -> None:
        self._observed += len(records)

    async def handle(self, record: Record) -> Sequence[Emit]:
        value = record.value or b""
        self._depend()
        if self._jitter_s:
            await asyncio.sleep(self._jitter_s * hashlib.sha256(value).digest()[0] / 255)
        while value.startswith(b"slow") and self._held():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self._raise(record, value)
        observed = ("observed", str(self._observed).encode())
        return [Emit(self._output, record.key, value, (*record.headers, observed))]

    async def close(self) -> None: ...

    def _depend(self) -> None:
        if self._outage and Path(self._outage).exists():
            raise DependencyUnavailable("the model is out")

    def _held(self) -> bool:
        return Path(self._hold).exists()

    def _raise(self, record: Record, value: bytes) -> None:
        self._tries[record.key] += 1
        if value.startswith(b"poison"):
            raise PoisonError("cannot be read")
        if value.startswith(b"fail"):
            raise RuntimeError("x" * 5000)
        if value.startswith(b"broken"):
            raise InvariantBroken("cannot go on")
        if value.startswith(b"flaky") and self._tries[record.key] < 3:
            raise ConnectionResetError("try again")


class Chain:
    """Writes for each record the digest of all values so far in its partition: any loss or repeat changes the rest.

    While the file `outage` exists, a batch fails after its first output was handed over; `nap_s` makes batches long.
    """

    version = "1"

    def __init__(
        self,
        name: str,
        topic: str,
        output: str,
        mode: str = "rebuild",
        broadcast: Sequence[str] = (),
        outage: str = "",
        nap_s: float = 0.0,
    ) -> None:
        self.name = name
        self.inputs = (Input(topic, mode), *(Input(one, "broadcast") for one in broadcast))  # type: ignore[arg-type]
        self._output = output
        self._outage = outage
        self._nap_s = nap_s
        self._observed = 0
        self._observed_before: set[int] = set()
        self._digests: dict[int, bytes] = {}
        self._delivered: dict[TopicPartition, int] = {}
        self._told = 0

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._digests.update({one.partition: b"" for one in partitions})

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        for one in partitions:
            del self._digests[one.partition]

    def observe(self, records: Sequence[Record]) -> None:
        self._observed += len(records)

    def restore(self, records: Sequence[Record]) -> None:
        self._observed_before.add(self._observed)
        for record in records:
            self._extend(record)

    def process(self, records: Sequence[Record]) -> Iterator[Emit]:
        time.sleep(self._nap_s)
        for number, record in enumerate(records):
            if number and self._outage and Path(self._outage).exists():
                raise DependencyUnavailable("the model is out")
            self._extend(record)
            observed = ("observed", str(self._observed).encode())
            before = ("observed-before", str(sorted(self._observed_before)).encode())
            yield Emit(self._output, record.key, self._digests[record.partition], (observed, before))

    def tick(self) -> Iterable[Emit]:
        return ()

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        self._delivered.update(ends)

    def _extend(self, record: Record) -> None:
        self._digests[record.partition] = extended(self._digests[record.partition], record)


def extended(digest: bytes, record: Record) -> bytes:
    """Return the next link of a chain."""
    return hashlib.sha256(digest + (record.value or b"")).hexdigest().encode()


class Announcing:
    """Has no input; says once, by `tick`, and then tells by `delivered` where its words lie."""

    version = "1"

    def __init__(self, name: str, output: str, told: str) -> None:
        self.name = name
        self.inputs: tuple[Input, ...] = ()
        self._output = output
        self._told = told
        self._words = [b"one", b"two", b"three"]
        self._ends: dict[TopicPartition, int] = {}

    def assigned(self, partitions: Sequence[TopicPartition]) -> None: ...

    def revoked(self, partitions: Sequence[TopicPartition]) -> None: ...

    def observe(self, records: Sequence[Record]) -> None: ...

    def restore(self, records: Sequence[Record]) -> None: ...

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        return ()

    def tick(self) -> Iterable[Emit]:
        if self._words:
            return [Emit(self._output, word, word) for word in (self._words.pop(0), b"again")]
        ends, self._ends = self._ends, {}
        return [Emit(self._told, str(one.partition).encode(), str(end).encode()) for one, end in ends.items()]

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        self._ends.update({one: end for one, end in ends.items() if one.topic == self._output})


HANDLERS = {"Steered": Steered, "Chain": Chain, "Announcing": Announcing}
