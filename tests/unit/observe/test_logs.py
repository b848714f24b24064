"""Logs: one JSON object a line, context on every line, secrets on none."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limoflow.errors import UsageError
from limoflow.observe.logs import configure_logs, context
from limoflow.redaction import MASK, redacted

ENVIRONMENT = {
    "LIMOFLOW_KAFKA_SASL_PASSWORD": "hunter2-hunter2",
    "LIMOFLOW_CHAT_API_KEY": "sk-verysecretvalue",
    "LIMOFLOW_TOKEN": "ab",
    "PATH": "/usr/bin:/bin",
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def stream() -> io.StringIO:
    target = io.StringIO()
    configure_logs("scorer", "scorer-0", stream=target, environment=ENVIRONMENT)
    return target


def lines(stream: io.StringIO) -> list[dict]:
    # JSON lines end at a line feed; `splitlines` would also cut at U+0085 and its like inside a text.
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_a_line_is_one_json_object_with_its_origin(stream):
    structlog.get_logger("limoflow.test").info("release made", rows=500, window=None)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "release made",
        "level": "info",
        "logger": "limoflow.test",
        "service": "scorer",
        "instance": "scorer-0",
        "rows": 500,
        "window": None,
    }


def test_logs_of_the_standard_library_take_the_same_way(stream):
    logging.getLogger("aiokafka.consumer").warning("no broker at %s", "a:1", extra={"attempt": 3})
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("no broker at a:1", "warning", "aiokafka.consumer")
    assert (line["service"], line["attempt"]) == ("scorer", 3)


def test_warnings_are_logged(stream):
    warnings.warn("old setting", UserWarning, stacklevel=1)
    assert "old setting" in lines(stream)[0]["event"]


def test_an_exception_is_one_line_with_its_trace(stream):
    try:
        int("bad\nvalue")
    except ValueError:
        structlog.get_logger("t").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: invalid literal" in line["exception"]
    assert line["level"] == "error"


def test_level_is_kept_and_an_unknown_one_refused(stream):
    structlog.get_logger("t").debug("not shown")
    logging.getLogger("faust").debug("not shown")
    assert stream.getvalue() == ""
    configure_logs("scorer", "scorer-0", level="debug", stream=stream, environment={})
    structlog.get_logger("t").debug("shown")
    assert lines(stream)[0]["event"] == "shown"
    with pytest.raises(UsageError, match="LIMOFLOW_LOG_LEVEL is one of DEBUG"):
        configure_logs("scorer", "scorer-0", level="loud")


def test_configuring_again_replaces(stream):
    other = io.StringIO()
    configure_logs("scorer", "scorer-1", stream=other, environment={})
    structlog.get_logger("t").info("once")
    assert stream.getvalue() == ""
    assert [line["instance"] for line in lines(other)] == ["scorer-1"]


async def test_context_stays_with_its_task(stream):
    async def handle(sample: str) -> None:
        with context(run_id="r", sample_id=sample):
            await asyncio.sleep(0)
            structlog.get_logger("t").info("handled", expected=sample)

    await asyncio.gather(*(handle(name) for name in "abc"))
    structlog.get_logger("t").info("after")
    *inside, after = lines(stream)
    assert [line["sample_id"] for line in inside] == [line["expected"] for line in inside]
    assert "sample_id" not in after


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "open sesame"},
        {"sasl_password": "open sesame"},
        {"headers": {"Authorization": "open sesame", "X-API-Key": "open sesame"}},
        {"settings": [{"deep": {"client_secret": "open sesame"}}]},
        {"url": "https://user:open sesame@host/x".replace(" ", "+")},
        {"command": "curl -H 'Authorization: Bearer open+sesame'"},
    ],
)
def test_what_is_named_or_looks_like_a_secret_is_masked(stream, fields):
    structlog.get_logger("t").info("connecting", **fields)
    assert "sesame" not in stream.getvalue()
    assert MASK in stream.getvalue()


def test_known_secrets_are_masked_wherever_they_turn_up(stream):
    log = structlog.get_logger("t")
    log.info("with sk-verysecretvalue inside", x=["hunter2-hunter2"], error=RuntimeError("sk-verysecretvalue refused"))
    logging.getLogger("aiokafka").error("login %s", "hunter2-hunter2")
    try:
        int("sk-verysecretvalue")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert len(text.splitlines()) == 3
    for secret in ("sk-verysecretvalue", "hunter2-hunter2"):
        assert secret not in text


def test_what_only_resembles_a_secret_stays(stream):
    structlog.get_logger("t").info(
        "tab", tokens=7, prompt_tokens=3, key="sample-1", url="http://host:8000/ab", path="/usr/bin:/bin"
    )
    (line,) = lines(stream)
    assert (line["tokens"], line["prompt_tokens"], line["key"]) == (7, 3, "sample-1")
    assert (line["url"], line["path"], line["event"]) == ("http://host:8000/ab", "/usr/bin:/bin", "tab")


def test_addresses_lose_their_passwords():
    assert redacted("s3://key:secret@bucket/a") == f"s3://{MASK}@bucket/a"


def test_a_terminal_gets_lines_for_people():
    target = Terminal()
    configure_logs("scorer", "scorer-0", stream=target, environment=ENVIRONMENT)
    structlog.get_logger("t").info("release made", rows=500, password="open sesame")
    assert not target.getvalue().startswith("{")
    assert "release made" in target.getvalue()
    assert "500" in target.getvalue()
    assert "sesame" not in target.getvalue()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.recursive(
            st.none()
            | st.integers()
            | st.floats()
            | st.text()
            | st.binary(max_size=4)
            | st.sampled_from(["\ud800", "\n"]),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=4,
        ),
    )
)
def test_any_value_makes_exactly_one_json_line(stream, fields):
    stream.seek(0)
    stream.truncate()
    structlog.get_logger("t").info("any", **fields)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("\n")
    assert set(fields) <= set(lines(stream)[0])
