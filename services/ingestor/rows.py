"""From a row of a file to the bytes of a sample, fast, and never to one that `Sample` would not accept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import orjson
from pydantic import ValidationError

from limoflow.versions import schema_fault
from schemas.run import Source
from schemas.sample import SCHEMA_VERSION, Difficulty, Sample
from services.ingestor.sources import Unreadable

_INSTRUCTION = ("instruction", "question", "prompt")
_RESPONSE = ("response", "answer", "output", "completion")
_TEXT_PARTS = ("domain", "language", "licence", "source")
_REFERENCE_LISTS = frozenset({"tests", "evidence"})
_REFERENCE_TEXTS = frozenset({"answer", "entry_point", "schema"})
_DIFFICULTIES = frozenset(get_args(Difficulty))
# What an earlier run found out about a sample is not true of this one.
_OF_ANOTHER_RUN = ("verification", "evaluations", "filtering", "advanced_assessment")
_KNOWN = frozenset({"instruction", "input", "response", "id", "messages", "difficulty", *_TEXT_PARTS}) | {
    f"reference.{name}" for name in _REFERENCE_LISTS | _REFERENCE_TEXTS
}
# A key of a row may be as long as its line.
_SHOWN_NAME = 100
_MISSING = object()
_EMPTY: dict[str, Any] = {}


class RowError(ValueError):
    """A row that is no sample; the message names the field."""


def unknown_fields(source: Source) -> list[str]:
    """Return the sample fields in a mapping that no sample has."""
    return sorted(set(source.fields) - _KNOWN)


class RowMapper:
    """Maps rows of one source to samples.

    Parameters
    ----------
    source : Source
        Its `fields` say which column becomes what; without any, the usual names are taken (`instruction`, `question`
        or `prompt`; `response`, `answer`, `output` or `completion`), and a row that is a limoflow sample is kept whole.
    version : str
        The ingestor's version, for the lineage.
    """

    def __init__(self, source: Source, version: str) -> None:
        self._fields = dict(source.fields)
        self._getters = {field: _getter(column) for field, column in self._fields.items()}
        self._defaults = {
            name: value
            for name, value in (("domain", source.domain), ("language", source.language), ("licence", source.licence))
            if value is not None
        }
        self._versions = {"ingestor": version}

    def texts(self, value: Any) -> tuple[str, str]:
        """Return instruction and response of a row.

        Raises
        ------
        RowError
            When the row has none, or not as text.
        """
        if not isinstance(value, dict):
            raise RowError(f"a JSON object was expected, not {type(value).__name__}")
        if self._fields:
            messages = self._get(value, "messages")
            instruction, response = self._get(value, "instruction"), self._get(value, "response")
            extra = self._get(value, "input")
        else:
            messages = value.get("messages", _MISSING)
            instruction, response = _first_of(value, _INSTRUCTION), _first_of(value, _RESPONSE)
            extra = value.get("input")
        if isinstance(extra, str) and extra.strip() and isinstance(instruction, str):
            instruction = f"{instruction}\n\n{extra}"
        if messages is not _MISSING and (instruction is _MISSING or response is _MISSING):
            _check_readable("messages", messages)
            instruction, response = _last_turn(messages)
        return self._text(value, "instruction", instruction), self._text(value, "response", response)

    def sample(
        self,
        value: dict[str, Any],
        texts: tuple[str, str],
        row_id: str,
        reference: str,
        unit: str,
        run_id: str,
        window: int,
    ) -> tuple[str, bytes]:
        """Return the id and the serialised sample of a row.

        Parameters
        ----------
        value : dict
            The row.
        texts : (str, str)
            Its instruction and response, from `texts`.
        row_id : str
            The id, unless the row brings one.
        reference : str
            `lineage.source_ref`.
        unit : str
            The file, which becomes `metadata.source` unless the row says otherwise.

        Raises
        ------
        RowError
            When the row is no sample.
        """
        instruction, response = texts
        whole = not self._fields and isinstance(value.get("metadata"), dict)
        metadata: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "source": unit, **self._defaults}
        sample: dict[str, Any] = {"id": row_id, "instruction": instruction, "response": response}
        plain = self._add_whole(sample, metadata, value) if whole else self._add_parts(sample, metadata, value)
        lineage = {"run_id": run_id, "window": window, "source_ref": reference, "versions": self._versions}
        parent = (metadata.get("lineage") or _EMPTY).get("parent") if whole else None
        metadata["lineage"] = {**lineage, "parent": parent} if parent else lineage
        sample["metadata"] = metadata
        data = _serialised(sample)
        if not plain:
            _validate(data)
        return sample["id"], data

    def _add_parts(self, sample: dict[str, Any], metadata: dict[str, Any], value: dict[str, Any]) -> bool:
        """Add what is mapped; return whether it was checked here already."""
        plain = True
        reference: dict[str, Any] = {}
        for field in self._getters if self._fields else _standard(value):
            if field in {"instruction", "input", "response"}:
                continue
            found = self._get(value, field) if self._fields else value[field]
            # CSV knows no null: an empty cell says nothing.
            if found is _MISSING or found is None or (found == "" and field != "id"):
                continue
            _check_readable(field, found)
            if field == "id":
                sample["id"] = _identity(found)
            elif field == "messages":
                sample["messages"], plain = found, False
            elif field.startswith("reference."):
                name = field.removeprefix("reference.")
                reference[name] = _reference_part(name, found)
            elif field == "reference":
                reference, plain = found, False
            else:
                metadata[field] = _metadata_part(field, found)
        if reference:
            metadata["reference"] = reference
        return plain

    def _add_whole(self, sample: dict[str, Any], metadata: dict[str, Any], value: dict[str, Any]) -> bool:
        own = {name: part for name, part in value["metadata"].items() if name not in _OF_ANOTHER_RUN}
        metadata.update(own)
        for name, part in value.items():
            _check_readable(name, part)
            sample.setdefault(name, part)
        if "id" in value:
            sample["id"] = _identity(value["id"])
        fault = schema_fault(str(metadata["schema_version"]))
        if fault is not None:
            raise RowError(f"{fault}: upgrade the ingestor, and let another run read the file")
        if not isinstance(metadata.get("lineage") or _EMPTY, dict):
            raise RowError("metadata.lineage must be an object")
        return False

    def _get(self, value: dict[str, Any], field: str) -> Any:
        getter = self._getters.get(field)
        return _MISSING if getter is None else getter(value)

    def _text(self, value: Mapping[str, Any], field: str, found: Any) -> str:
        if isinstance(found, str):
            return found
        _check_readable(field, found)
        column = self._fields.get(field)
        wanted = f"{field!r} (column {column!r})" if column else f"{field!r}"
        if found is _MISSING or found is None:
            names = [name[:_SHOWN_NAME] for name in sorted(map(str, value))[:20]]
            raise RowError(f"field {wanted} is missing; the row has: {', '.join(names)}")
        raise RowError(f"field {wanted} must be text, not {type(found).__name__}")


def _standard(value: Mapping[str, Any]) -> list[str]:
    return [name for name in (*_TEXT_PARTS, "difficulty", "messages", "reference") if name in value]


def _getter(column: str) -> Callable[[dict[str, Any]], Any]:
    parts = column.split(".")

    def nested(value: dict[str, Any]) -> Any:
        if column in value:
            return value[column]
        found: Any = value
        for part in parts:
            if not isinstance(found, dict) or part not in found:
                return _MISSING
            found = found[part]
        return found

    return nested if len(parts) > 1 else lambda value: value.get(column, _MISSING)


def _first_of(value: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((value[name] for name in names if name in value), _MISSING)


def _last_turn(messages: Any) -> tuple[Any, Any]:
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        raise RowError("field 'messages' must be a list of objects with role and content")
    answers = [at for at, turn in enumerate(messages) if turn.get("role") == "assistant"]
    asked = [at for at, turn in enumerate(messages[: answers[-1]]) if turn.get("role") == "user"] if answers else []
    if not asked:
        raise RowError("field 'messages' has no user turn before an assistant turn")
    return messages[asked[-1]].get("content"), messages[answers[-1]].get("content")


def _check_readable(field: str, found: Any) -> None:
    if isinstance(found, Unreadable):
        raise RowError(f"field {field!r} cannot be read: {found.reason}")


def _identity(found: Any) -> str:
    text = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
    if not isinstance(text, str) or not 0 < len(text) <= 128:
        raise RowError("field 'id' must be text of 1 to 128 characters")
    return text


def _reference_part(name: str, found: Any) -> Any:
    if name in _REFERENCE_LISTS:
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise RowError(f"field 'reference.{name}' must be a list of texts, not {type(found).__name__}")
        return found
    # Data sets write answers as numbers as often as as text.
    if name == "answer" and isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found):
        return repr(found)
    if not isinstance(found, str):
        raise RowError(f"field 'reference.{name}' must be text, not {type(found).__name__}")
    return found


def _metadata_part(field: str, found: Any) -> str:
    if not isinstance(found, str):
        raise RowError(f"field {field!r} must be text, not {type(found).__name__}")
    if field == "difficulty" and found not in _DIFFICULTIES:
        raise RowError(f"field 'difficulty' is {found[:40]!r}; known: {', '.join(sorted(_DIFFICULTIES))}")
    return found


def _serialised(sample: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(sample)
    except TypeError as error:
        raise RowError(f"the row cannot be written as JSON: {error}") from error


def _validate(data: bytes) -> None:
    try:
        Sample.model_validate_json(data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3])
        raise RowError(f"the row is no sample: {faults}") from error
