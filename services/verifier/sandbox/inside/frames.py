"""Messages between the service and the fork server: a length, and so many bytes of JSON."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

HEAD = struct.Struct("!I")


def frame(message: Any) -> bytes:
    """Return a message as bytes."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return HEAD.pack(len(body)) + body


def read_exactly(descriptor: int, size: int) -> bytes:
    """Read so many bytes and not one more.

    Raises
    ------
    EOFError
        When the stream ends before.
    """
    pieces = []
    while size:
        piece = os.read(descriptor, min(size, 1 << 16))
        if not piece:
            raise EOFError("the stream ended within a message")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def read_frame(descriptor: int) -> Any:
    """Read one message.

    Raises
    ------
    EOFError
        When the stream ends before.
    """
    (size,) = HEAD.unpack(read_exactly(descriptor, HEAD.size))
    return json.loads(read_exactly(descriptor, size))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
