"""The base of every event: unknown fields survive, and equal content gives equal bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """An event or a part of one. Fields that this version does not know are kept and written back (G7)."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, validate_assignment=False, protected_namespaces=())

    def to_bytes(self) -> bytes:
        """Serialise to compact JSON, defaults and nulls included: a null may mean `off`."""
        return self.model_dump_json(by_alias=True).encode()


def canonical_json(value: Any) -> bytes:
    """Serialise to the one JSON form of a value: sorted keys, no spaces, UTF-8.

    Raises
    ------
    TypeError
        When the value holds something that JSON does not know.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
