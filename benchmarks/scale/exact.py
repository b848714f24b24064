"""The same counts from the selector itself: both of its levels run, and what they write to selector.pool is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count

from benchmarks.scale.forwards import Stream
from benchmarks.selector import Passed, as_records
from limoflow.errors import PoisonError
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Record, TopicPartition
from schemas.headers import event_headers
from schemas.run import Run
from schemas.topics import POOL, REJECTED, RUNS, SCORED, VERIFIED, dead_letters_of
from services.selector.merge import Merge
from services.selector.pools import PartitionPools
from services.selector.records import PoolKey
from services.selector.settings import SelectorSettings

RUN = "scale"
_DIFFICULTIES = ("easy", "medium", "hard")
_DEAD = dead_letters_of("scorer")
_SAMPLE = (
    '{{"id":"{id}","instruction":"What is {id}?","response":"A number.","metadata":{{"domain":"mathematics",'
    '"difficulty":"{difficulty}","lineage":{{"run_id":"scale","window":0,"source_ref":"f","versions":{{}}}}}}}}'
)
_ERROR = PoisonError("a benchmark made it")


def pool_counts(stream: Stream, seed: int) -> Counter[str]:
    """Return the records of selector.pool after a window, before its release.

    Parameters
    ----------
    stream : Stream
    seed : int
        Another seed has other ids, and so other hashes.

    Returns
    -------
    Counter
        `forwarded` and `fates` (of the first level), `written_back`, `sample_tombstones` and `fate_tombstones` (of the
        second), and `held` and `fates_held`, which are the keys that live.
    """
    first, second = _levels(stream)
    found: Counter[str] = Counter()
    live: dict[bytes, str] = {}
    begins = set(stream.beginnings)
    for number, row in enumerate(_rows(stream, seed)):
        if number in begins:
            _begin(first, stream)
        arrived = as_records([emit for emit in first.process(row) if emit.topic == POOL])
        found.update(_kind(record, {"s": "forwarded", "r": "fates", "d": "fates"}) for record in arrived)
        # What the merging level writes to its own topic, it reads.
        while arrived:
            _note(live, arrived)
            arrived = as_records(list(second.process(arrived)))
            found.update(_kind(record, {"r": "written_back"}) for record in arrived)
    found.update(Counter(live.values()))
    return found


def _levels(stream: Stream) -> tuple[PartitionPools, Merge]:
    spec = {"name": RUN, "sources": [{"path": "x"}], "select": {"target": 1, "reservoir": stream.reservoir}}
    announced = Record(RUNS, 0, 0, b"", Run.model_validate({"run_id": RUN, "spec": spec}).to_bytes())
    settings = SelectorSettings(sketch=stream.sketch)
    first, second = PartitionPools(settings), Merge(settings, Passed())
    second.assigned([TopicPartition(POOL, number) for number in range(4)])
    first.observe([announced])
    second.observe([announced])
    return first, second


def _begin(first: PartitionPools, stream: Stream) -> None:
    """Take the partitions away and give them back, as a restart does."""
    topics = (SCORED, REJECTED, _DEAD)
    partitions = [TopicPartition(topic, number) for topic in topics for number in range(stream.partitions)]
    first.revoked(partitions)
    first.assigned(partitions)


def _rows(stream: Stream, seed: int) -> Iterator[list[Record]]:
    """Yield the window: every row is one sample on each partition, and all of a row end alike before the selector."""
    for row, (topic, stratum) in zip(range(stream.rows), _places(stream), strict=False):
        begin = row * stream.partitions
        ids = (f"{seed:08x}{number:024x}" for number in range(begin, min(begin + stream.partitions, stream.samples)))
        yield [_record(topic, partition, sample_id, stratum) for partition, sample_id in enumerate(ids)]


def _places(stream: Stream) -> Iterator[tuple[str, int]]:
    """Yield the topic and stratum of each row, in the same shares at any time."""
    turn, done = count(), Counter[str]()
    shares = {SCORED: stream.scored, REJECTED: stream.refused, _DEAD: stream.dead}
    for row in count(1):
        topic = max(shares, key=lambda name: shares[name] * row - done[name])
        done[topic] += 1
        yield topic, next(turn) % stream.strata if topic == SCORED else 0


def _record(topic: str, partition: int, sample_id: str, stratum: int) -> Record:
    key = sample_id.encode()
    value = _SAMPLE.format(id=sample_id, difficulty=_DIFFICULTIES[stratum]).encode()
    headers = event_headers("sample.v1", sample_id, "scorer", runid=RUN, window=0, stage="scorer", reason="low")
    record = Record(topic, partition, 0, key, value, headers)
    if topic != _DEAD:
        return record
    letter = dead_letter(
        Record(VERIFIED, partition, 0, key, value, headers), stage="scorer", version="1", error=_ERROR, attempts=3
    )
    return Record(_DEAD, partition, 0, letter.key, letter.value, letter.headers)


def _kind(record: Record, names: dict[str, str]) -> str:
    kind = PoolKey.decode(record.key or b"").kind
    if record.value is None:
        return "sample_tombstones" if kind == "s" else "fate_tombstones"
    return names[kind]


def _note(live: dict[bytes, str], records: Iterable[Record]) -> None:
    """Do what compaction does."""
    for record in records:
        key = record.key or b""
        if record.value is None:
            live.pop(key, None)
        else:
            live[key] = "held" if PoolKey.decode(key).kind == "s" else "fates_held"
