"""The items of benchmark files: JSON, JSON lines, CSV and text, plain, gzipped or zipped."""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limoflow.errors import UsageError

_ASKED = ("question", "instruction", "prompt", "problem", "text", "input", "query_text", "题目", "问题")
_ANSWERED = ("answer", "output", "response", "solution", "canonical_solution", "code", "query", "rationale")
MOST_BYTES = 64 << 20
"""What one benchmark file may unpack to, all members of an archive together."""
MOST_ITEMS = 1_000_000


# RuntimeError: nesting too deep, an archive with a password, a way of packing that is not known here.
_UNREADABLE = (
    OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, csv.Error
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a benchmark.

    Attributes
    ----------
    place : str
        File and row, such as `test.jsonl#12`.
    asked : tuple of str
        Its questions: matched whole and in parts.
    answered : tuple of str
        Its worked answers: matched in parts only, since many items share a short answer.
    """

    place: str
    asked: tuple[str, ...]
    answered: tuple[str, ...]


def benchmark_files(patterns: Sequence[str], folder: Path) -> list[Path]:
    """Return the files that paths and globs name, sorted, relative ones from `folder`.

    Raises
    ------
    UsageError
        When a pattern matches no file: a benchmark that is silently absent would let everything pass.
    """
    found: set[Path] = set()
    for pattern in patterns:
        matches = [Path(name) for name in glob.glob(str(folder / pattern), recursive=True)]  # noqa: PTH207 - pattern may be absolute
        files = [path for path in matches if path.is_file()]
        if not files:
            raise UsageError(f"verify.decontaminate.benchmarks: {pattern!r} matches no file in {folder}")
        found.update(files)
    return sorted(found)


def read_items(path: Path) -> Iterator[Item]:
    """Yield the items of one benchmark file.

    Raises
    ------
    UsageError
        When the file cannot be read as its name says, is damaged, locked or too large, or holds no question.
    """
    count = 0
    try:
        for name, content in _members(path):
            for number, row in enumerate(_rows(name, content)):
                item = _item(f"{name}#{number}", row)
                if item.asked or item.answered:
                    count += 1
                    if count > MOST_ITEMS:
                        raise ValueError(f"it has more than {MOST_ITEMS} items; name smaller files")
                    yield item
    except _UNREADABLE as error:
        raise UsageError(f"benchmark {path.name}: cannot be read: {error}") from error
    if not count:
        raise UsageError(f"benchmark {path.name}: no field is one of {', '.join(_ASKED + _ANSWERED)}")


def _members(path: Path) -> Iterator[tuple[str, str]]:
    left = MOST_BYTES
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = Path(member.filename).name
                if Path(name).suffix in _READERS and "readme" not in name.casefold() and "_urls" not in name:
                    with archive.open(member) as stream:
                        content = _content(stream.read, left)
                    left -= len(content)
                    yield name, content.decode("utf-8-sig")
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        content = _content(stream.read, left)
    yield path.name.removesuffix(".gz"), content.decode("utf-8-sig")


def _content(read: Callable[[int], bytes], left: int) -> bytes:
    content = read(left + 1)
    if len(content) > left:
        raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes; name smaller files")
    return content


def _rows(name: str, content: str) -> Iterator[Any]:
    reader = _READERS.get(Path(name).suffix)
    if reader is None:
        raise ValueError(f"{name}: the ending is none of {', '.join(_READERS)}")
    return reader(content)


def _json(content: str) -> Iterator[Any]:
    try:
        value = json.loads(content)
    except json.JSONDecodeError:
        # Several data sets call JSON lines .json.
        yield from _json_lines(content)
        return
    yield from _records(value)


def _records(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list) and part and isinstance(part[0], dict)]
        yield from (row for part in lists for row in part)
        if not lists:
            yield value


def _json_lines(content: str) -> Iterator[Any]:
    # Not splitlines(): JSON may hold U+2028.
    return (json.loads(line) for line in content.split("\n") if line.strip())


def _csv(content: str) -> Iterator[Any]:
    rows = list(csv.reader(io.StringIO(content)))
    header = [cell.strip().casefold() for cell in rows[0]] if rows else []
    if any(cell in _ASKED for cell in header):
        return (dict(zip(header, row, strict=False)) for row in rows[1:])
    # Without a header, as MMLU's files: question, options, letter.
    return ({"question": row[0], "answer": " ".join(row[1:-1])} for row in rows if row)


def _text(content: str) -> Iterator[Any]:
    return ({"question": line} for line in content.split("\n") if line.strip())


_READERS = {".json": _json, ".jsonl": _json_lines, ".csv": _csv, ".txt": _text}


def _item(place: str, row: Any) -> Item:
    if isinstance(row, str):
        return Item(place, (row,), ())
    if not isinstance(row, dict):
        return Item(place, (), ())
    instances = row.get("instances")
    nested = [one for one in instances if isinstance(one, dict)] if isinstance(instances, list) else []
    return Item(place, _fields([row], _ASKED), _fields([row, *nested], _ANSWERED))


def _fields(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> tuple[str, ...]:
    values = (row.get(name) for row in rows for name in names)
    return tuple(value for value in values if isinstance(value, str) and value.strip())
