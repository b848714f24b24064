"""Client of OpenAI-compatible chat endpoints: httpx on aiohttp's transport, retries, rates, accounting."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson
from aiolimiter import AsyncLimiter
from httpx_aiohttp import AiohttpTransport

from limoflow.errors import ChatRequestError, DeadlineExceeded, DependencyUnavailable
from limoflow.inference.chat_types import ChatAnswer, ChatMessage, ChatObserver, ChatSettings, Usage
from limoflow.redaction import redacted

CHARACTERS_PER_TOKEN = 3
LONGEST_BACKOFF = 30.0
SHOWN = 200
MAX_ANSWER_BYTES = 16 << 20
"""The longest answer that is read, after decompression."""

_OF_THE_CODING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_READ = 4096


class _TryAgain(Exception):
    """One attempt failed in a way that may pass.

    Parameters
    ----------
    failure : DependencyUnavailable
        What to raise when no attempt is left.
    pause : float, optional
        Seconds that the endpoint asks to wait.
    """

    def __init__(self, failure: DependencyUnavailable, pause: float | None = None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.pause = pause


class ChatClient:
    """One chat endpoint; implements `limoflow.inference.chat_types.Chat`.

    The key is sent and never shown: errors name the endpoint, the status and the beginning of its answer only.

    Parameters
    ----------
    settings : ChatSettings
        The endpoint.
    usage : Usage, optional
        Where to count; shared where several clients count together.
    observer : ChatObserver, optional
        Hears of every attempt, and of the tokens of every answer.

    Raises
    ------
    UsageError
        If the environment variable of the key is not set.
    """

    def __init__(
        self, settings: ChatSettings, usage: Usage | None = None, observer: ChatObserver | None = None
    ) -> None:
        self._observer = observer
        self.usage = usage or Usage()
        self._settings = settings
        self._key = settings.api_key()
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._requests = _limiter(settings.requests_per_minute)
        self._tokens = _limiter(settings.tokens_per_minute)
        self._http: httpx.AsyncClient | None = None

    async def complete(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
        """Return the endpoint's answer to the dialogue `messages`.

        Raises
        ------
        ChatRequestError
            If the endpoint refuses the request for good, or its answer cannot be read.
        DeadlineExceeded
            If nothing was answered within the time of one request.
        DependencyUnavailable
            If every attempt met 429, 5xx or no connection.
        """
        limit = self._settings.total_timeout
        try:
            async with asyncio.timeout(limit), self._slots:
                return await self._attempts(messages)
        except TimeoutError as error:
            raise DeadlineExceeded(f"chat endpoint {self._where()}: no answer within {limit:g} s") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _attempts(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return await self._attempt(messages)
            except _TryAgain as again:
                if attempt == self._settings.attempts:
                    raise again.failure from again
                await asyncio.sleep(self._pause(attempt) if again.pause is None else again.pause)
        raise AssertionError("at least one attempt")

    def _pause(self, attempt: int) -> float:
        longest = min(LONGEST_BACKOFF, self._settings.backoff * 2.0 ** (attempt - 1))
        return longest * _half_to_one()

    async def _attempt(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
        body = self._body(messages)
        async with AsyncExitStack() as rates:
            await self._wait_for_rates(messages, rates)
            answer = await self._observed(body)
        cost = answer.prompt_tokens * self._settings.price_in + answer.completion_tokens * self._settings.price_out
        self.usage.add(answer.prompt_tokens, answer.completion_tokens, cost / 1e6)
        if self._observer is not None:
            self._observer.chat_used(self._settings.model, answer.prompt_tokens, answer.completion_tokens)
        return answer

    async def _observed(self, body: bytes) -> ChatAnswer:
        began, failure = time.perf_counter(), None
        try:
            response = await self._post(body)
            self._check_status(response)
            return self._read(response)
        except _TryAgain as again:
            failure = type(again.failure).__name__
            raise
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            if self._observer is not None:
                self._observer.model_request(self._settings.model, time.perf_counter() - began, failure)

    async def _wait_for_rates(self, messages: Sequence[ChatMessage], rates: AsyncExitStack) -> None:
        if self._requests is not None:
            await rates.enter_async_context(self._requests)
        if self._tokens is not None:
            characters = sum(len(message.content) for message in messages)
            estimate = characters // CHARACTERS_PER_TOKEN + self._settings.max_tokens
            # A request larger than the rate of a minute takes the whole minute, rather than waiting for ever.
            await self._tokens.acquire(min(float(estimate), self._tokens.max_rate))

    def _body(self, messages: Sequence[ChatMessage]) -> bytes:
        settings = self._settings
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        if settings.seed is not None:
            body["seed"] = settings.seed
        if settings.top_logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": settings.top_logprobs}
        try:
            return orjson.dumps(body)
        except orjson.JSONEncodeError as error:
            raise ChatRequestError(f"the messages are not valid Unicode: {error}") from error

    async def _post(self, body: bytes) -> httpx.Response:
        try:
            async with self._client().stream("POST", "chat/completions", content=body) as response:
                return await self._whole(response)
        except httpx.TimeoutException as error:
            raise _TryAgain(
                DeadlineExceeded(f"chat endpoint {self._where()}: no answer within {self._settings.timeout:g} s")
            ) from error
        except httpx.TransportError as error:
            raise _TryAgain(DependencyUnavailable(f"chat endpoint {self._where()}: {self._safe(error)}")) from error

    async def _whole(self, response: httpx.Response) -> httpx.Response:
        """Read an answer up to its bound: an endpoint may send without end."""
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > MAX_ANSWER_BYTES:
                raise ChatRequestError(
                    f"chat endpoint {self._where()}: its answer is longer than {MAX_ANSWER_BYTES} bytes"
                )
        plain = [(name, value) for name, value in response.headers.items() if name not in _OF_THE_CODING]
        return httpx.Response(response.status_code, headers=plain, content=bytes(content))

    def _client(self) -> httpx.AsyncClient:
        # Made at the first call, because its connections belong to the running loop.
        if self._http is None:
            headers = {"content-type": "application/json"}
            if self._key is not None:
                headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
            self._http = httpx.AsyncClient(
                base_url=self._settings.base_url.rstrip("/") + "/",
                headers=headers,
                timeout=self._settings.timeout,
                transport=AiohttpTransport(limits=httpx.Limits(max_connections=self._settings.concurrency)),
            )
        return self._http

    def _check_status(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        said = f"chat endpoint {self._where()}: status {response.status_code}: {self._beginning(response)}"
        if response.status_code in {408, 409, 425, 429} or response.status_code >= 500:
            raise _TryAgain(DependencyUnavailable(said), retry_after(response.headers, time.time()))
        raise ChatRequestError(self._without_key(response.status_code) + said)

    def _without_key(self, status: int) -> str:
        """Say that no key was sent, where that is what the endpoint may have refused."""
        if status not in {401, 403} or not self._settings.api_key_unset:
            return ""
        return f"no key was sent, since the environment variable {self._settings.api_key_unset} is not set here; "

    def _read(self, response: httpx.Response) -> ChatAnswer:
        try:
            content = orjson.loads(response.content)
            choice = content["choices"][0]
            text, finish = choice["message"]["content"] or "", choice.get("finish_reason") or ""
            used = content.get("usage") or {}
            logprobs = _first_logprobs(choice)
            counts = [_count(used.get(name)) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ChatRequestError(
                f"chat endpoint {self._where()}: its answer is no chat completion "
                f"({type(error).__name__}: {self._safe(error)}): {self._beginning(response)}"
            ) from error
        if not isinstance(text, str) or not isinstance(finish, str):
            raise ChatRequestError(
                f"chat endpoint {self._where()}: the content is no text: {self._beginning(response)}"
            )
        return ChatAnswer(text, finish, counts[0], counts[1], logprobs)

    def _where(self) -> str:
        return self._safe(f"{self._settings.base_url} (model {self._settings.model})")

    def _beginning(self, response: httpx.Response) -> str:
        # The key is taken out before the text is cut: half of it would not be recognised.
        return repr(self._safe(response.content[:_READ].decode("utf-8", "replace"))[:SHOWN])

    def _safe(self, said: object) -> str:
        """Return a text for messages: endpoints repeat the key that they refuse."""
        return redacted(str(said), () if self._key is None else (self._key.get_secret_value(),))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, at least 0; None without a readable one.

    RFC 9110, section 10.2.3: seconds or an HTTP date.

    Parameters
    ----------
    headers : mapping
        Of the response.
    now : float
        Seconds since the epoch.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value)) if value.isascii() and value.replace(".", "", 1).isdigit() else _until(value, now)
    except (ValueError, OverflowError):
        return None


def _count(said: object) -> int:
    """Return a count of tokens; 0 for what is none, which no account may be charged with."""
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else 0


def _first_logprobs(choice: Mapping[str, Any]) -> dict[str, float]:
    positions = (choice.get("logprobs") or {}).get("content") or []
    listed = positions[0].get("top_logprobs") or [] if positions else []
    return {str(one["token"]): float(one["logprob"]) for one in listed}


def _until(date: str, now: float) -> float:
    moment = parsedate_to_datetime(date)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.fromtimestamp(now, UTC)).total_seconds())


def _half_to_one() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def _limiter(per_minute: int | None) -> AsyncLimiter | None:
    return None if per_minute is None else AsyncLimiter(per_minute, 60.0)
