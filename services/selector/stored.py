"""How sample bytes lie in memory: large ones compressed, small ones as they are."""

from __future__ import annotations

import zlib

_LARGE = 4_096
_COMPRESSED = b"z"
_PLAIN = b"p"


def packed(data: bytes) -> bytes:
    """Return bytes for keeping."""
    return _COMPRESSED + zlib.compress(data, 1) if len(data) >= _LARGE else _PLAIN + data


def unpacked(data: bytes) -> bytes:
    """Return what was packed."""
    return zlib.decompress(data[1:]) if data[:1] == _COMPRESSED else data[1:]
