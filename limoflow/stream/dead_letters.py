"""Dead letters: what could not be read or handled, as its original bytes, with the why in headers (promise G5)."""

from __future__ import annotations

from limoflow.errors import PoisonError
from limoflow.redaction import redacted
from limoflow.stream.types import Emit, Record
from schemas.dead_letter import DeadLetter
from schemas.headers import RUN, WINDOW, Headers, header_text
from schemas.topics import dead_letters_of, topics

PREFIX = "dlq_"
MAX_ERROR_BYTES = 2048
_REQUIRED = ("sampleid", "stage", "stageversion", "topic", "partition", "offset", "attempts", "errorclass", "error")


def dead_letter(
    record: Record,
    *,
    stage: str,
    version: str,
    error: BaseException,
    attempts: int,
    run_id: str | None = None,
    window: int | None = None,
    sample_id: str | None = None,
) -> Emit:
    """Return the record for `dlq.<stage>`: key, bytes and headers as they came, the reason in further headers.

    Parameters
    ----------
    record : Record
        What could not be handled.
    error : BaseException
        Why; its text is cut to 2 kB.
    attempts : int
        How often it was tried.
    run_id, window, sample_id
        Where the caller knows them; else they are taken from the record's headers and key.
    """
    run = run_id if run_id is not None else header_text(record.headers, RUN)
    told = header_text(record.headers, WINDOW) or ""
    # A letter whose own headers could not be read would be lost to those who look for it.
    cut = str(window) if window is not None else told if told.isascii() and told.isdigit() else None
    reasons = {
        "sampleid": sample_id if sample_id is not None else _identity(record),
        "stage": stage,
        "stageversion": version,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "attempts": str(attempts),
        "errorclass": type(error).__name__,
        "error": redacted(str(error)),
        "runid": run,
        "window": cut,
    }
    added = tuple((f"{PREFIX}{name}", _bounded(text)) for name, text in reasons.items() if text is not None)
    return Emit(dead_letters_of(stage), record.key, record.value, _original(record.headers) + added)


def read_dead_letter(record: Record) -> DeadLetter:
    """Read the headers of a record of a dead-letter topic.

    Raises
    ------
    PoisonError
        When the headers of a dead letter are missing or mistyped.
    """
    found = {name: header_text(record.headers, f"{PREFIX}{name}") for name in (*_REQUIRED, "runid", "window")}
    missing = [f"{PREFIX}{name}" for name in _REQUIRED if found[name] is None]
    if missing:
        raise PoisonError(f"{_place(record)} is no dead letter: it lacks the headers {', '.join(missing)}")
    names = {"sampleid": "sample_id", "stageversion": "stage_version", "errorclass": "error_class", "runid": "run_id"}
    fields = {names.get(name, name): text for name, text in found.items()}
    try:
        return DeadLetter.model_validate(fields)
    except ValueError as error:
        raise PoisonError(f"{_place(record)} has broken headers of a dead letter: {error}") from error


def replay(record: Record) -> Emit:
    """Return the original record of a dead letter, for the topic that it came from.

    Raises
    ------
    PoisonError
        When the record is no dead letter, or says that it came from a topic that its stage dead-letters nothing of: a
        service that may write nothing but its dead letters would else reach any topic through whoever replays them.
    """
    topic = read_dead_letter(record).topic
    allowed = [name for name, described in topics().items() if described.is_replayed_from(record.topic)]
    if topic not in allowed:
        raise PoisonError(
            f"{_place(record)} says that it came from {topic[:80]!r}, and what lies there comes from "
            f"{', '.join(allowed) or 'no topic'}: it is not replayed; look at it with `limoflow dlq show`"
        )
    return Emit(topic, record.key, record.value, _original(record.headers))


def _original(headers: Headers) -> Headers:
    return tuple(pair for pair in headers if not pair[0].startswith(PREFIX))


def _place(record: Record) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"


def _identity(record: Record) -> str:
    if record.key is None:
        return _place(record)
    try:
        return record.key.decode()
    except UnicodeDecodeError:
        return _place(record)


def _bounded(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_ERROR_BYTES:
        return encoded
    return encoded[:MAX_ERROR_BYTES].decode("utf-8", "ignore").encode()
