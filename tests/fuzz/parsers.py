"""Every parser of what comes from outside, as a function of bytes that may refuse, but not fail."""

from __future__ import annotations

import asyncio
import csv
import inspect
import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from limoflow.errors import ChatRequestError, PoisonError, RunSpecError
from limoflow.inference.chat import ChatClient, retry_after
from limoflow.inference.chat_types import ChatAnswer, ChatMessage, ChatSettings, Usage
from limoflow.layer import LayerResult, LayerStage
from limoflow.observe.health import _Handler, _metrics
from limoflow.observe.tracing import sampled_context
from limoflow.plugins import operators
from limoflow.redaction import redacted
from limoflow.runs import RunRegistry
from limoflow.spec_file import changed_spec, load_spec
from limoflow.stream.dead_letters import dead_letter, read_dead_letter, replay
from limoflow.stream.retry import settle
from limoflow.stream.types import Record
from limoflow.worked.steps import notes
from schemas.headers import event_headers, header_text
from schemas.identity import source_id
from schemas.run import Run, RunSpec, Source
from schemas.sample import Sample
from services.generator.self_instruct import read_task
from services.ingestor.formats import reader_of
from services.ingestor.rows import RowError, RowMapper
from services.ingestor.sources import SourceError, Unit
from services.scorer.judges import JUDGES, Unreadable
from services.verifier.answers import final_answer, same
from services.verifier.checks import GROUP, OWN, Check
from services.verifier.code_static import python_blocks
from services.verifier.exact import read
from services.verifier.judge.ballot import Ballot, ballot, read_vote

RUN = Run(run_id="r", spec=RunSpec(name="r", sources=[Source(path="x")]))
SAMPLE = {
    "id": "a",
    "instruction": "What is 2 + 3?",
    "response": "2+3=<<2+3=5>>5\n#### 5",
    "metadata": {"schema_version": "1.0", "source": "x", "lineage": {"run_id": "r", "window": 0, "source_ref": "x#0"}},
}
_SPEC = Path(gettempdir()) / "limoflow-fuzz"


@dataclass(frozen=True, slots=True)
class Parser:
    """One parser.

    Attributes
    ----------
    take : callable
        Handles one input; whatever it raises is a finding.
    seeds : tuple of bytes
        Good inputs, from which bad ones are made.
    words : tuple of bytes
        Pieces that mean something to it.
    """

    take: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


class _Passing:
    name, version = "verifier", "1"

    async def process(self, sample: Sample, run: Run) -> LayerResult:
        return LayerResult((sample,))

    async def close(self) -> None:
        """Hold nothing."""


@cache
def _stage() -> LayerStage:
    runs = RunRegistry(patience_s=0.0)
    runs.observe([_record(RUN.to_bytes())])
    return LayerStage(_Passing(), "samples.candidate", "samples.verified", runs)


def _record(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record("samples.candidate", 0, 7, b"key", value, headers, 0)


async def _no_sleep(_: float) -> None:
    """Wait for nothing."""


def sample_event(data: bytes) -> None:
    """A record of a stage: done with a readable sample out, or a dead letter with the bytes that came."""
    outcome = _loop().run_until_complete(settle(_stage(), _record(data), sleep=_no_sleep))
    (emit,) = outcome.emits
    if outcome.error is None:
        Sample.model_validate_json(emit.value or b"")
    else:
        assert isinstance(outcome.error, PoisonError), outcome.error
        assert emit.value == data


def run_event(data: bytes) -> None:
    """A record of the topic `runs`."""
    RunRegistry().observe([_record(data)])


def run_spec(data: bytes) -> None:
    """A RunSpec file."""
    _SPEC.write_bytes(data)
    with suppress(RunSpecError):
        assert load_spec(_SPEC).canonical()


def run_settings(data: bytes) -> None:
    """A `key=value` of the command line."""
    with suppress(RunSpecError):
        changed_spec(RUN.spec, [data.decode("utf-8", "replace")], ("select.", "score."))


def file_of(name: str) -> Callable[[bytes], None]:
    """Return the parser of a file with this name: rows, and the samples made of them."""
    mappers = (
        RowMapper(Source(path="x"), "1"),
        RowMapper(Source(path="x", fields={"instruction": "a.b", "response": "c", "reference.tests": "t"}), "1"),
    )

    def take(data: bytes) -> None:
        with suppress(SourceError):
            for row in reader_of(name)(io.BytesIO(data), Unit(name, name, len(data)), 0, 0):
                for mapper in mappers if row.error is None else ():
                    _mapped(mapper, row.value)

    return take


def _mapped(mapper: RowMapper, value: Any) -> None:
    with suppress(RowError):
        texts = mapper.texts(value)
        _, made = mapper.sample(value, texts, "id", "x#0", "x", "r", 0)
        assert source_id("x#0")
        Sample.model_validate_json(made)


@cache
def _client() -> ChatClient:
    return ChatClient(ChatSettings(base_url="http://127.0.0.1:1/v1", model="m"))


def chat_answer(data: bytes) -> None:
    """The body of a chat endpoint's answer."""
    for status in (200, 400):
        response = httpx.Response(status, content=data)
        with suppress(ChatRequestError):
            _client()._check_status(response)
            _client()._read(response)


def retry_header(data: bytes) -> None:
    """The Retry-After of an endpoint that is busy."""
    seconds = retry_after({"retry-after": data.decode("latin-1")}, 1e9)
    assert seconds is None or seconds >= 0


class _Said:
    """A chat that says one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.usage = Usage()

    async def complete(self, messages: list[ChatMessage]) -> ChatAnswer:
        return ChatAnswer(self._text, "stop", 0, 0)


def judged(data: bytes) -> None:
    """What a judge or a generating model wrote."""
    text = data.decode("utf-8", "replace")
    for judge in JUDGES.values():
        with suppress(Unreadable):
            score, _ = _loop().run_until_complete(judge(Sample.model_validate(SAMPLE), _Said(text)))  # type: ignore[arg-type]
            assert 0 <= score <= 1
    read_task(text)
    verdict, _ = read_vote(text, "stop", _ballot())
    assert verdict in {"pass", "fail", "unknown"}


@cache
def _ballot() -> Ballot:
    return ballot("question", "answer", {"correct": "is it right?"}, "id", 0)


class _Socket:
    """A connection that has sent these bytes and hears nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self._data)

    def sendall(self, _: bytes) -> None: ...

    def settimeout(self, _: float) -> None: ...


class _Routes:
    routes = {"/metrics": lambda accept: _metrics(CollectorRegistry(), accept)}


def http_request(data: bytes) -> None:
    """What somebody sends to the port of /healthz, /readyz and /metrics."""
    _Handler(_Socket(data), ("127.0.0.1", 1), _Routes())  # type: ignore[arg-type]


def answers(data: bytes) -> None:
    """Answers of mathematics, in two texts."""
    left, _, right = data.decode("utf-8", "replace").partition("\x00")
    for text in (left, right):
        found = final_answer(text)
        if found is not None:
            read(found.text)
        read(text)
        list(notes(text))
    assert same(left, right) in {True, False, None}


@cache
def _checks() -> tuple[Check, ...]:
    """Return the checks that look at texts alone: they need no settings, no model, no endpoint."""
    kinds = [point.load() for point in operators(GROUP, OWN).values()]
    return tuple(kind() for kind in kinds if not inspect.signature(kind).parameters)


def checks(data: bytes) -> None:
    """A sample's texts, as each check that looks at texts alone reads them; a failing check would be `unknown`."""
    question, _, answer = data.decode("utf-8", "replace").partition("\x00")
    for domain in ("mathematics", "code", "sql"):
        fields = {**SAMPLE, "instruction": question or "?", "response": answer or "?"}
        fields["metadata"] = {**SAMPLE["metadata"], "domain": domain}  # type: ignore[dict-item]
        sample = Sample.model_validate(fields)
        for check in _checks():
            if check.applies(sample):
                check.check(sample, {})


def code_blocks(data: bytes) -> None:
    """Code in an answer."""
    python_blocks(data.decode("utf-8", "replace"))


def trace_header(data: bytes) -> None:
    """W3C trace context."""
    sampled_context(data.decode("utf-8", "replace"))


def event_headers_of(data: bytes) -> None:
    """CloudEvents headers and those of a dead letter: name, value, name, value, ..."""
    parts = data.split(b"\n")
    names = [part.decode("utf-8", "replace") for part in parts[::2]]
    headers = tuple(zip(names, parts[1::2], strict=False))
    for name, _ in headers:
        header_text(headers, name)
    with suppress(PoisonError):
        read_dead_letter(_record(data, headers))
        replay(_record(data, headers))
    letter = dead_letter(_record(data, headers), stage="s", version="1", error=ValueError(str(data)), attempts=1)
    read_dead_letter(Record(letter.topic, 0, 0, letter.key, letter.value, letter.headers, 0))


def masked(data: bytes) -> None:
    """Any text on its way into a log."""
    redacted(data.decode("utf-8", "replace"), ("secret-0",))


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    rows = [{"instruction": f"q{number}", "response": "a", "n": {"deep": [number]}} for number in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), target)
    return target.getvalue()


def _csv() -> bytes:
    target = io.StringIO()
    csv.writer(target).writerows([["instruction", "response"], ['a "q"', "b\nc"], ["数", "é"]])
    return target.getvalue().encode()


def _letter_headers() -> bytes:
    letter = dead_letter(_record(b"x"), stage="s", version="1", error=ValueError("x"), attempts=1)
    pairs = (*letter.headers, *event_headers("sample.v1", "a", "s", runid="r", window=0))
    return b"\n".join(part for name, value in pairs for part in (name.encode(), value))


_JSON = (b'{"', b'":', b"[", b"]", b"{}", b"null", b"1e999", b"-0", b"\\ud800", b"NaN", b"9" * 400, b"[" * 500)
_DEEP = b'{"a":' + b"[" * 5000 + b"}"
_ROW = json.dumps({"instruction": "q", "response": "a", "a": {"b": 1}, "t": ["x"]}).encode()
_CHAT = json.dumps({"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}], "usage": {}}).encode()
_MATH = (
    b"\\frac{",
    b"\\boxed{",
    b"####",
    b"<<",
    b">>",
    b"\\begin{pmatrix}",
    b"1e300",
    "百分之".encode(),
    b"^",
    b"\x00",
)
_CODE = (
    b"```python\n",
    b"def f(x):\n",
    b"(" * 50,
    b"lambda ",
    b"SELECT ",
    b"CREATE TABLE t (",
    b"\n```",
    b"\x00",
    b"-" * 99,
)
_HTTP = (b"GET /metrics HTTP/1.1\r\n", b"Accept: ", b"\r\n\r\n", b"POST ", b"HEAD / HTTP/1.0", b"Content-Length: 9\r\n")
_TEXTS = b"Solve. Mail me@x.example\x00```python\ndef f(x):\n    return x\n```\nSELECT a FROM t;\n2+3=5\n#### 5"

PARSERS = {
    "sample": Parser(sample_event, (json.dumps(SAMPLE).encode(),), _JSON),
    "run": Parser(run_event, (RUN.to_bytes(),), _JSON),
    "run-spec": Parser(
        run_spec,
        (b"name: a\nsources: [{path: x}]\nselect: {target: 5, window: {count: 3}}\n", b"recipe: limo\nname: b\n"),
        (
            b"${",
            b"${oc.env:HOME}",
            b"&a [*a]",
            b"!!python/object:os.system",
            b"? ",
            b"- ",
            b": ",
            b"<<: *",
            b"name",
            b"...",
        ),
    ),
    "run-settings": Parser(
        run_settings,
        (b"select.target=5", b"score.weights={a: 1}"),
        (b"=", b".", b"[", b"{", b"${", b"select.", b"null"),
    ),
    "jsonl": Parser(file_of("a.jsonl"), (_ROW + b"\n" + _ROW,), (*_JSON, b"\n", b"\xef\xbb\xbf", b"messages")),
    "json": Parser(file_of("a.json"), (b"[" + _ROW + b"]",), _JSON),
    "csv": Parser(file_of("a.csv"), (_csv(),), (b'"', b",", b"\r", b"\n", b"\x00", b"\xff")),
    "parquet": Parser(file_of("a.parquet"), (_parquet(),), (b"PAR1",)),
    "gzip": Parser(file_of("a.jsonl.gz"), (__import__("gzip").compress(_ROW, mtime=0),), (b"\x1f\x8b",)),
    "chat": Parser(chat_answer, (_CHAT,), (*_JSON, b'"top_logprobs"', b'"logprobs"')),
    "retry-after": Parser(retry_header, (b"12", b"Wed, 21 Oct 2015 07:28:00 GMT"), (b"GMT", b"+9999", b"99999999")),
    "judge": Parser(
        judged, (b'{"score": 4.5}', b'{"tags": ["a"]}', _DEEP, b'{"instruction": "x", "response": "y"}'), _JSON
    ),
    "http": Parser(http_request, (b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n",), _HTTP),
    "answers": Parser(answers, (b"#### 1,234.5 km\x00\\frac{1}{2}", "答案是百分之三十\x00(1, 2]".encode()), _MATH),
    "checks": Parser(checks, (_TEXTS,), (*_CODE, *_MATH, b"\\(", b"1. ", b"4111111111111111")),
    "code-blocks": Parser(code_blocks, (b"x\n```python\nprint(1)\n```\n~~~\ny\n~~~",), _CODE),
    "trace": Parser(trace_header, (b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",), (b"-", b"ff", b"00", b"_1")),
    "headers": Parser(event_headers_of, (_letter_headers(),), (b"\n", b"dlq_", b"ce_", b"-1", b"\xff")),
    "redaction": Parser(masked, (b"https://a:b@h/x?sig=1 Bearer abc",), (b"://", b"@", b":", b"?token=", b"secret-0")),
}


def names() -> Iterator[str]:
    """Yield the parsers' names."""
    yield from PARSERS
