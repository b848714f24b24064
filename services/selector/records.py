"""The records of selector.pool: what the first level passes on and the second level's state is rebuilt from."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from limoflow.stream.types import Emit, Record
from schemas.headers import event_headers, header_text
from schemas.topics import POOL, topics
from services.selector.distinct import Fate
from services.selector.keys import keyed_hash

STRATUM = "ce_stratum"
LABEL = "ce_label"
NO_CONTENT = "~"

Kind = Literal["s", "r", "d"]


class PoolKey(NamedTuple):
    """What a pool record is about.

    Attributes
    ----------
    kind : {"s", "r", "d"}
        A scored sample, a refused one, a dead-lettered one.
    version : str
        Which statement about the id this is. It is part of the key, since compaction keeps the newest record of a key
        and the smallest version must not give way to a newer one.
    """

    run_id: str
    window: int
    kind: str
    sample_id: str
    version: str

    def encode(self) -> bytes:
        """Return the record key."""
        return "|".join((self.run_id, str(self.window), self.kind, self.sample_id, self.version)).encode(
            "utf-8", "surrogatepass"
        )

    @classmethod
    def decode(cls, key: bytes) -> PoolKey:
        """Read a record key; only a sample id may hold the separator."""
        run_id, window, kind, rest = key.decode("utf-8", "surrogatepass").split("|", 3)
        sample_id, version = rest.rsplit("|", 1)
        return cls(run_id, int(window), kind, sample_id, version)

    @property
    def place(self) -> tuple[str, int]:
        """Run and window."""
        return self.run_id, self.window


@lru_cache(maxsize=1_024)
def pool_partition(run_id: str) -> int:
    """Return the partition of selector.pool on which all records of a run lie."""
    partitions = topics()[POOL].partitions
    if not isinstance(partitions, int):
        raise TypeError("selector.pool must have a fixed number of partitions in topics.yaml")
    return keyed_hash("partition", 0, run_id) % partitions


def scored_emit(key: PoolKey, stratum: str, data: bytes) -> Emit:
    """Return the pool record of a scored sample."""
    return _emit(key, data, ((STRATUM, stratum.encode()),))


def fate_emit(place: tuple[str, int], sample_id: str, fate: Fate) -> Emit:
    """Return the pool record of a sample that will not be chosen; its value says nothing, the headers all."""
    return _emit(fate_key(place, sample_id, fate), b"{}", ((LABEL, fate.label.encode()),))


def fate_key(place: tuple[str, int], sample_id: str, fate: Fate) -> PoolKey:
    """Return the key of a fate's record: two labels of one content are two statements."""
    return PoolKey(*place, fate.kind, sample_id, f"{fate.content}:{_short_label(fate.label)}")


@lru_cache(maxsize=1_024)
def _short_label(label: str) -> str:
    return f"{keyed_hash('label', 0, label) % 2**32:08x}"


def read_fate(key: PoolKey, record: Record) -> Fate:
    """Read the fate that a record of kind `r` or `d` states."""
    return Fate(key.version.split(":", 1)[0], key.kind, header_text(record.headers, LABEL) or "")


def tombstone(key: PoolKey) -> Emit:
    """Return the record that lets compaction remove an earlier one."""
    return _emit(key, None, ())


def _emit(key: PoolKey, value: bytes | None, extra: tuple[tuple[str, bytes], ...]) -> Emit:
    headers = event_headers("pool.v1", key.sample_id, "selector", runid=key.run_id, window=key.window)
    return Emit(POOL, key.encode(), value, headers + extra, pool_partition(key.run_id))
