"""Which versions of an event this code reads (G7): an event from the future is refused by name, never guessed at."""

from __future__ import annotations

import re
from functools import lru_cache

from limoflow.errors import PoisonError
from limoflow.stream.types import Record
from schemas.headers import TYPE, TYPE_PREFIX, header_text
from schemas.sample import SCHEMA_VERSION, Sample
from schemas.topics import topics

_UPGRADE = "upgrade this service first, then `limoflow dlq replay` (docs/operate/upgrade.md)"
# No int() of what somebody else wrote: thousands of digits are an error of their own, and Unicode has further digits.
_VERSIONED = re.compile(r"(?P<name>.+)\.v(?P<major>[1-9][0-9]{0,3})", re.DOTALL)
_MAJOR = SCHEMA_VERSION.partition(".")[0]


def check_version(record: Record) -> None:
    """Refuse an event whose `ce_type` names no version, or one that topics.yaml does not.

    A version is `v` and a number from 1 to 9999. An event without a type passes.

    Raises
    ------
    PoisonError
        Naming the record, its type and the versions that are read.
    """
    kind = header_text(record.headers, TYPE)
    fault = None if kind is None else _fault(record.topic, kind)
    if fault is not None:
        raise PoisonError(f"{record.topic}[{record.partition}]@{record.offset} {fault}")


def check_sample_version(sample: Sample) -> None:
    """Refuse a sample whose `metadata.schema_version` has another major; fields of a later minor are kept.

    Raises
    ------
    PoisonError
    """
    fault = schema_fault(sample.metadata.schema_version)
    if fault is not None:
        raise PoisonError(f"sample {sample.id!r}: {fault}; {_UPGRADE}")


def schema_fault(version: str) -> str | None:
    """Return what is wrong with a sample's schema version, or None where this code reads it."""
    if version.partition(".")[0] == _MAJOR:
        return None
    return f"metadata.schema_version {version[:40]!r} is not one that this code reads ({_MAJOR}.x)"


@lru_cache(maxsize=256)
def _fault(topic: str, kind: str) -> str | None:
    described = topics().get(topic)
    stated = _VERSIONED.fullmatch(kind.removeprefix(TYPE_PREFIX))
    if described is None or (stated is not None and int(stated["major"]) in described.versions):
        return None
    name = "NAME" if stated is None else stated["name"]
    known = ", ".join(f"{name}.v{version}" for version in described.versions)
    return f"is of type {kind[:80]!r}; this code reads {known}; {_UPGRADE}"
