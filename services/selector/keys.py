"""Hashes of ids: what ranks, splits and places samples without regard to when they arrive (G3)."""

from __future__ import annotations

import hashlib

_SPAN = 2**128


def keyed_hash(purpose: str, seed: int, text: str) -> int:
    """Return a hash of `text`, uniform on [0, 2**128), independent for each purpose and seed."""
    key = f"{purpose}:{seed}".encode()
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=key).digest())


def fraction(key: int) -> float:
    """Return a key as a number in [0, 1], for people to read."""
    return key / _SPAN


def short_hash(data: bytes) -> str:
    """Return a hash of bytes as 16 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()
