"""Ids and hashes: functions of what a sample is and where it came from, never of when (G2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def _hash(parts: Iterable[str]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def source_id(source_ref: str) -> str:
    """Return the id of the row at `source_ref` (relative file and row): 32 hexadecimal digits."""
    return _hash(("source", source_ref))


def child_id(parent: str, stage: str, stage_version: str, ordinal: int) -> str:
    """Return the id of the `ordinal`-th child that a stage makes of `parent`: 32 hexadecimal digits."""
    return _hash(("child", parent, stage, stage_version, str(ordinal)))


def content_hash(instruction: str, response: str) -> str:
    """Return the hash of what a sample says; of two texts under one id the smaller hash wins (G2)."""
    return _hash((instruction, response))
