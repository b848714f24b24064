"""CloudEvents headers in Kafka's binary mode, with the extension attributes of limoflow.

Source: CloudEvents 1.0.2, Kafka protocol binding, section 3.2 (attributes as `ce_` headers, data as the value).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

Headers = tuple[tuple[str, bytes], ...]

_VERSION = ("ce_specversion", b"1.0")
CONTENT_TYPE = ("content-type", b"application/json")
TYPE = "ce_type"
RUN = "ce_runid"
WINDOW = "ce_window"
STAGE = "ce_stage"
REASON = "ce_reason"
CONTENT = "ce_contenthash"
RELEASE = "ce_releaseid"
TYPE_PREFIX = "io.limoflow."


def event_headers(event: str, event_id: str, source: str, **extensions: str | int | None) -> Headers:
    """Return the headers of one event.

    Parameters
    ----------
    event : str
        The schema's name and major version, such as `sample.v1`; the type is `io.limoflow.` + `event`.
    event_id : str
        The id of the event; a repeat has the same one.
    source : str
        The stage that sends it.
    **extensions
        Extension attributes (`runid`, `window`, `stage`, `reason`, ...); those that are None are left out.
    """
    named = [(_prefixed(name), str(value).encode()) for name, value in extensions.items() if value is not None]
    return (_VERSION, ("ce_id", event_id.encode()), *_kind(event, source), CONTENT_TYPE, *named)


@lru_cache(maxsize=256)
def _prefixed(name: str) -> str:
    return f"ce_{name}"


@lru_cache(maxsize=256)
def _kind(event: str, source: str) -> Headers:
    return (TYPE, f"{TYPE_PREFIX}{event}".encode()), ("ce_source", f"/limoflow/{source}".encode())


def header_text(headers: Sequence[tuple[str, bytes]] | Mapping[str, bytes], name: str) -> str | None:
    """Return the last header of that name as text, or None."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found = None
    for key, value in pairs:
        if key == name and value is not None:
            found = value
    return found.decode("utf-8", "replace") if found is not None else None
