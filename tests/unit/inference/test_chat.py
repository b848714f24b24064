"""The chat client against a real HTTP server that misbehaves."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limoflow.errors import ChatRequestError, DeadlineExceeded, DependencyUnavailable, UsageError
from limoflow.inference.chat import ChatClient, retry_after
from limoflow.inference.chat_types import ChatMessage, ChatSettings, Usage
from limoflow.inference.endpoint import chat_client
from schemas.run import Chat as Asked

KEY = "sk-very-secret-1234"
QUESTION = [ChatMessage("user", "What is 2 + 2?")]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def completion(text: str | None = "4") -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


class Endpoint:
    """A server that gives the planned answers in turn, the last one for ever, and notes what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.open = self.most_open = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.times.append(time.monotonic())
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.json())
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await self.answers[min(len(self.bodies), len(self.answers)) - 1](request)
        finally:
            self.open -= 1


def says(status: int = 200, content: Any = None, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(completion() if content is None else content, status=status, headers=named)

    return answer


def says_bytes(body: bytes) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    return answer


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.05)
    return web.json_response(completion())


@asynccontextmanager
async def client(endpoint: Endpoint, **settings: Any) -> AsyncIterator[ChatClient]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    chosen = {"base_url": f"http://127.0.0.1:{port}/v1", "model": "m", "timeout": 20, "backoff": 0.01} | settings
    made = ChatClient(ChatSettings(**chosen))
    try:
        yield made
    finally:
        await made.close()
        await runner.cleanup()


async def test_an_answer_is_read_and_accounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_KEY", KEY)
    endpoint = Endpoint(says())
    async with client(endpoint, api_key_env="CHAT_KEY", price_in=1.0, price_out=10.0, seed=5) as chat:
        answer = await chat.complete(QUESTION)
        await chat.complete(QUESTION)
    assert (answer.text, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens) == ("4", "stop", 7, 2)
    assert chat.usage == Usage(2, 14, 4, pytest.approx(2 * 27e-6))
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert endpoint.bodies[0] == {
        "model": "m",
        "messages": [{"role": "user", "content": "What is 2 + 2?"}],
        "temperature": 0.0,
        "max_tokens": 1024,
        "seed": 5,
    }


async def test_too_many_requests_waits_as_long_as_asked() -> None:
    endpoint = Endpoint(says(429, {"error": "slow down"}, retry_after="1"), says())
    async with client(endpoint) as chat:
        assert (await chat.complete(QUESTION)).text == "4"
    assert endpoint.times[1] - endpoint.times[0] >= 0.95
    assert chat.usage.requests == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
async def test_a_failure_that_may_pass_is_tried_again(status: int) -> None:
    endpoint = Endpoint(says(status, {"error": "x"}), says(status, {"error": "x"}), says())
    async with client(endpoint) as chat:
        assert (await chat.complete(QUESTION)).text == "4"
    assert len(endpoint.bodies) == 3


async def test_failures_without_end_are_an_outage_after_the_last_attempt() -> None:
    endpoint = Endpoint(says(503, {"error": "overloaded"}))
    async with client(endpoint, attempts=3) as chat:
        with pytest.raises(DependencyUnavailable, match=r"503.*overloaded"):
            await chat.complete(QUESTION)
    assert len(endpoint.bodies) == 3
    assert chat.usage.requests == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_final(status: int) -> None:
    endpoint = Endpoint(says(status, {"error": "bad request"}), says())
    async with client(endpoint) as chat:
        with pytest.raises(ChatRequestError, match=f"{status}.*bad request"):
            await chat.complete(QUESTION)
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": ["x"]}}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": {"0": 1}}',
        b"\xff\xfe",
        b'{"choices": [{"message": {}}]}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": [1]}',
        b"[" * 5000,
    ],
)
async def test_garbage_is_a_refused_request(body: bytes) -> None:
    async with client(Endpoint(says_bytes(body))) as chat:
        with pytest.raises(ChatRequestError, match=r"no chat completion|no text"):
            await chat.complete(QUESTION)


async def test_an_answer_without_text_or_usage_is_empty_not_garbage() -> None:
    async with client(Endpoint(says(content={"choices": [{"message": {"content": None}}]}))) as chat:
        answer = await chat.complete(QUESTION)
    assert (answer.text, answer.finish_reason, answer.prompt_tokens) == ("", "", 0)


@pytest.mark.parametrize("said", [-5, "many", 2.5, True, [3], None])
async def test_usage_that_is_no_count_is_unknown_and_the_answer_is_read(said: object) -> None:
    content = completion() | {"usage": {"prompt_tokens": said, "completion_tokens": 2}}
    async with client(Endpoint(says(content=content))) as chat:
        answer = await chat.complete(QUESTION)
        assert chat.usage.prompt_tokens == 0
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("4", 0, 2)


async def test_nothing_answering_ends_within_the_attempts() -> None:
    endpoint = Endpoint(hang)
    async with client(endpoint, timeout=0.2, attempts=2) as chat:
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            await chat.complete(QUESTION)
    assert len(endpoint.bodies) == 2


async def test_nothing_answering_ends_within_the_total_time() -> None:
    async with client(Endpoint(hang), timeout=60, total_timeout=0.3) as chat:
        with pytest.raises(DeadlineExceeded, match=r"within 0\.3 s"):
            await chat.complete(QUESTION)


async def test_a_pause_longer_than_the_total_time_is_not_waited_for() -> None:
    async with client(Endpoint(says(429, {}, retry_after="3600")), total_timeout=0.3) as chat:
        with pytest.raises(DeadlineExceeded):
            await chat.complete(QUESTION)


async def test_nobody_listening_is_an_outage() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chat = ChatClient(ChatSettings(base_url=f"http://127.0.0.1:{port}", model="m", attempts=2, backoff=0.01))
    with pytest.raises(DependencyUnavailable, match=str(port)):
        await chat.complete(QUESTION)
    await chat.close()


async def test_no_more_requests_than_allowed_are_in_flight() -> None:
    endpoint = Endpoint(slow)
    async with client(endpoint, concurrency=3) as chat:
        await asyncio.gather(*(chat.complete(QUESTION) for _ in range(12)))
    assert endpoint.most_open == 3


@pytest.mark.parametrize("rate", [{"requests_per_minute": 2}, {"tokens_per_minute": 250, "max_tokens": 100}])
async def test_rates_hold_back_what_exceeds_them(rate: dict[str, int]) -> None:
    endpoint = Endpoint(says())
    async with client(endpoint, total_timeout=1.0, **rate) as chat:
        outcomes = await asyncio.gather(*(chat.complete(QUESTION) for _ in range(4)), return_exceptions=True)
    assert len(endpoint.bodies) == 2
    assert sum(isinstance(outcome, DeadlineExceeded) for outcome in outcomes) == 2


async def test_a_request_larger_than_a_minutes_tokens_is_sent_all_the_same() -> None:
    async with client(Endpoint(says()), tokens_per_minute=10) as chat:
        assert (await chat.complete(QUESTION)).text == "4"


async def test_the_key_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAT_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    async with client(Endpoint(says(401, {"error": "bad key"})), api_key_env="CHAT_KEY") as chat:
        with pytest.raises(ChatRequestError) as refused:
            await chat.complete(QUESTION)
        shown = f"{refused.value} {vars(chat)} {chat._settings!r} {chat._settings.model_dump_json()}"
    assert KEY not in shown + caplog.text + "".join(capsys.readouterr())


@pytest.mark.parametrize("status", [401, 403])
async def test_an_endpoint_that_asks_for_a_key_that_is_not_set_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    asked = Asked(base_url="http://127.0.0.1:1/v1", model="m", api_key_env="MY_KEY")
    settings = chat_client(asked)._settings
    async with client(Endpoint(says(status, {"error": "no key"})), **settings.model_dump(exclude={"base_url"})) as chat:
        with pytest.raises(ChatRequestError, match="no key was sent, since the environment variable MY_KEY is not set"):
            await chat.complete(QUESTION)


async def test_text_that_is_no_unicode_is_refused_before_it_is_sent() -> None:
    endpoint = Endpoint(says())
    async with client(endpoint) as chat:
        with pytest.raises(ChatRequestError, match="Unicode"):
            await chat.complete([ChatMessage("user", "\ud800")])
    assert endpoint.bodies == []


def test_a_key_that_is_not_set_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT_KEY", raising=False)
    with pytest.raises(UsageError, match="CHAT_KEY"):
        ChatClient(ChatSettings(base_url="http://127.0.0.1:1", model="m", api_key_env="CHAT_KEY"))


@pytest.mark.parametrize(
    "wrong", [{"base_url": "ftp://x"}, {"attempts": 0}, {"timeout": 0}, {"unknown": 1}, {"model": ""}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatSettings(**({"base_url": "http://x", "model": "m"} | wrong))


@given(st.integers(0, 10**6), st.integers(0, 2_000_000_000))
def test_retry_after_reads_seconds_and_dates(seconds: int, now: int) -> None:
    assert retry_after({"retry-after": str(seconds)}, now) == seconds
    assert retry_after({"retry-after": formatdate(now + seconds, usegmt=True)}, now) == pytest.approx(seconds)
    assert retry_after({"retry-after": formatdate(now - seconds, usegmt=True)}, now) == 0.0


@pytest.mark.parametrize("value", ["", "soon", "-5", "nan", "inf", "Thu, 99 Foo 2020", "²"])
def test_an_unreadable_retry_after_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}, 0.0) is None
    assert retry_after({}, 0.0) is None


async def test_an_answer_without_end_is_a_refused_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limoflow.inference.chat.MAX_ANSWER_BYTES", 1000)
    async with client(Endpoint(says_bytes(b"x" * 1001))) as chat:
        with pytest.raises(ChatRequestError, match="longer than 1000 bytes"):
            await chat.complete(QUESTION)
