"""Hashes of ids: what ranks, splits and places samples without regard to when they arrive (G3)."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_SPAN = 2**128
_SECONDS = re.compile(rb'"seconds":[-+.0-9eE]+')


def keyed_hash(purpose: str, seed: int, text: str) -> int:
    """Return a hash of `text`, uniform on [0, 2**128), independent for each purpose and seed."""
    state = _keyed(purpose, seed).copy()
    state.update(text.encode("utf-8", "surrogatepass"))
    return int.from_bytes(state.digest())


@lru_cache(maxsize=256)
def _keyed(purpose: str, seed: int) -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16, key=f"{purpose}:{seed}".encode())


def fraction(key: int) -> float:
    """Return a key as a number in [0, 1], for people to read."""
    return key / _SPAN


def short_hash(data: bytes) -> str:
    """Return a hash of a sample's bytes as 16 hexadecimal digits; how long checks took is no part of it (G3)."""
    # In a text the quotes would be escaped, so only a field can match.
    return hashlib.blake2b(_SECONDS.sub(b'"seconds":0', data), digest_size=8).hexdigest()
