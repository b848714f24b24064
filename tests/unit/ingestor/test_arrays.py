"""JSON arrays are read part by part: as a parser of the whole would, in the memory of a part."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limoflow.stream.dead_letters import read_dead_letter
from services.ingestor import formats
from services.ingestor.arrays import ArrayFault, parts
from services.ingestor.sources import Row, SourceError, Unit
from tests.unit.ingestor.ingest_log import Log
from tests.unit.ingestor.test_ingest_bad_input import GOOD, ingest

MIB = 1 << 20
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ROWS = st.lists(JSON | st.dictionaries(st.sampled_from(['a"', "\\", "é]}", ","]), st.text(max_size=9)), max_size=8)


def rows_of(data: bytes, position: int = 0, name: str = "a.json") -> list[Row]:
    return list(formats.reader_of(name)(io.BytesIO(data), Unit(name, name, len(data)), position, position))


def in_pieces(data: bytes, size: int) -> list[Any]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [value for part in parts(pieces, MIB) for value in part.values()]


@given(ROWS, st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
@example([{"a": '\\"'}, {"a": "]"}, {}, [[]], "x"], 1, True, None)
def test_the_values_are_those_of_a_parser_of_the_whole_wherever_a_piece_ends(
    rows: list[Any], size: int, escapes: bool, indent: int | None
) -> None:
    data = json.dumps(rows, ensure_ascii=escapes, indent=indent).encode("utf-8", "replace")
    try:
        whole = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    assert repr(in_pieces(data, size)) == repr(whole)


@given(ROWS, st.integers(1, 40), st.integers(0, 10**6), st.binary(max_size=2) | st.sampled_from([*'[]{},:"\\']))
def test_what_a_parser_of_the_whole_refuses_is_refused(rows: list[Any], size: int, at: int, instead: Any) -> None:
    text = json.dumps(rows, ensure_ascii=False).encode("utf-8", "replace")
    put = instead if isinstance(instead, bytes) else instead.encode()
    data = text[: at % len(text)] + put + text[at % len(text) + 1 :]
    try:
        whole = orjson.loads(data) if data.strip() else []
    except orjson.JSONDecodeError:
        whole = None
    if isinstance(whole, list):
        assert repr(in_pieces(data, size)) == repr(whole)
    else:
        with pytest.raises(ArrayFault):
            in_pieces(data, size)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'[{"a": 1}, {"a": tru}]', "broken JSON: invalid literal, expected 'true': line 1 column 18 (char 17)"),
        ('["é",\n {"é": tru}]'.encode(), "broken JSON: invalid literal, expected 'true': line 2 column 8 (char 13)"),
        (b'[{"a": 1}', "broken JSON: unexpected end of data: line 1 column 10 (char 9)"),
        (b"[1] x", "broken JSON: unexpected content after document: line 1 column 5 (char 4)"),
        (b'[{"a": 1}, {"a": "\xff"}]', "not UTF-8: invalid start byte at byte 18"),
        (b"\xef\xbb\xbf[1 2]", "line 1 column 4 (char 3)"),
        (b"[1,]", "a value was expected"),
        (b'{"a": 1}\n{"a": 2}\n', "an array of objects was expected"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 18])
def test_a_broken_array_says_where_and_gives_no_row(
    monkeypatch: pytest.MonkeyPatch, data: bytes, says: str, piece: int
) -> None:
    monkeypatch.setattr(formats, "_PIECE_BYTES", piece)
    with pytest.raises(SourceError) as refused:
        rows_of(data)
    assert says in str(refused.value)
    assert "a.json" in str(refused.value)


def test_a_broken_array_is_one_dead_letter_and_no_sample(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(orjson.dumps([GOOD] * 5000)[:-1] + b",")
    log: Log = ingest(tmp_path / "a.json")
    assert not log.samples()
    (letter,) = log.letters()
    assert "unexpected end of data" in read_dead_letter(letter).error


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_reading_goes_on_at_any_element(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(formats, "_PIECE_BYTES", 64)
    rows: list[Any] = [{"n": number, "deep": [{"x": number}] * (number % 3)} for number in range(50)]
    data = orjson.dumps(rows)
    data = gzip.compress(data) if name.endswith(".gz") else data
    for position in (0, 1, 17, 49, 50):
        found = rows_of(data, position, name)
        assert [(row.number, row.after, row.value) for row in found] == [
            (number, number + 1, rows[number]) for number in range(position, 50)
        ]


def test_an_element_that_is_too_long_is_one_bad_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(formats, "_PIECE_BYTES", 100)
    found = rows_of(orjson.dumps([{"a": 1}, {"a": "x" * 5000}, {"a": 3}]))
    assert [(row.number, row.value) for row in found] == [(0, {"a": 1}), (1, None), (2, {"a": 3})]
    assert "the element has 5008 bytes; at most 1000 are read" in str(found[1].error)
    assert len(found[1].original) == 1000


def test_a_packed_array_that_unpacks_beyond_the_bound_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_ARRAY_BYTES", 4000)
    with pytest.raises(SourceError, match="unpacks to more than 4000 bytes"):
        rows_of(gzip.compress(orjson.dumps([GOOD] * 1000)), name="a.json.gz")


def test_many_small_objects_take_the_memory_of_a_few(tmp_path: Path) -> None:
    """8 MiB of the smallest objects once took 270 MiB."""
    path = tmp_path / "tiny.json"
    path.write_bytes(b"[" + b",".join([b'{"a":1}'] * (1 << 20)) + b"]")
    program = (
        "import resource, sys\n"
        "from services.ingestor.formats import read_array\n"
        "from services.ingestor.sources import Unit\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with open(sys.argv[1], 'rb') as stream:\n"
        "    count = sum(1 for _ in read_array(stream, Unit('tiny.json', '', 0), 0, 0))\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, env=environment
    )
    count, kilobytes = map(int, done.stdout.split())
    assert count == 1 << 20
    assert kilobytes < 32 * 1024
