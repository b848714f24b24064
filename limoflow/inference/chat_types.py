"""The vocabulary of chat endpoints: messages, answers, settings, what was used."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from limoflow.errors import UsageError


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What a chat endpoint answered.

    Attributes
    ----------
    text : str
        Content of the answer; may be empty.
    finish_reason : str
        As the endpoint names it: "stop", "length", ...; empty where it says nothing.
    prompt_tokens, completion_tokens : int
        As the endpoint counts them; 0 where it says nothing, or no whole number from 0.
    first_logprobs : mapping
        Candidates for the first token to ln p, where they were asked for and given.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    first_logprobs: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Usage:
    """What was used so far: requests answered, tokens, and cost in the currency of the price."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def add(self, prompt_tokens: int, completion_tokens: int, cost: float) -> None:
        """Count one answered request."""
        self.requests += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        self.cost += cost


class ChatObserver(Protocol):
    """Hears of requests to chat endpoints."""

    def model_request(self, model: str, seconds: float, error_class: str | None = None) -> None:
        """Hear of one attempt."""
        ...

    def chat_used(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Hear of the tokens of one answered request."""
        ...


class Chat(Protocol):
    """A chat endpoint.

    `complete` raises `ChatRequestError` when this request is refused for good or its answer cannot be read, and
    `DependencyUnavailable` (or a subclass) when the endpoint is out.
    """

    usage: Usage

    async def complete(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
        """Return the answer to the dialogue `messages`."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class ChatSettings(BaseModel):
    """An OpenAI-compatible chat endpoint and how to treat it.

    Attributes
    ----------
    base_url : str
        Up to and without ``/chat/completions``, such as ``https://host/v1``.
    model : str
        Name of the model at the endpoint.
    api_key_env : str
        Environment variable that holds the key; empty for an endpoint without keys.
    api_key_unset : str
        Environment variable that a run names for the key and that is not set: the endpoint may need none. Where it
        does, the error names the variable.
    temperature : float
        0 or more.
    max_tokens : int
        Most tokens of an answer.
    seed : int, optional
        Sent along where given.
    timeout : float
        Seconds for one attempt.
    total_timeout : float
        Seconds for one request with all its attempts and pauses.
    attempts : int
        Most attempts for one request.
    backoff : float
        Seconds before the second attempt; doubles with each further one, with jitter.
    concurrency : int
        Most requests in flight.
    requests_per_minute, tokens_per_minute : int, optional
        Rates to stay under; tokens are estimated before a request from its characters.
    top_logprobs : int, optional
        How many candidates for the first token to ask for, with their log-probabilities.
    price_in, price_out : float
        Price of a million prompt and completion tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)
    api_key_env: str = ""
    api_key_unset: str = ""
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(1024, ge=1)
    seed: int | None = None
    timeout: float = Field(60.0, gt=0)
    total_timeout: float = Field(300.0, gt=0)
    attempts: int = Field(5, ge=1)
    backoff: float = Field(0.5, gt=0)
    concurrency: int = Field(16, ge=1)
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    top_logprobs: int | None = Field(None, ge=1, le=20)
    price_in: float = Field(0.0, ge=0)
    price_out: float = Field(0.0, ge=0)

    def api_key(self) -> SecretStr | None:
        """Return the key, or None for an endpoint without keys.

        Raises
        ------
        UsageError
            If the environment variable is named but not set.
        """
        if not self.api_key_env:
            return None
        value = os.environ.get(self.api_key_env)
        if not value:
            raise UsageError(f"chat endpoint {self.base_url}: set the environment variable {self.api_key_env}")
        return SecretStr(value)
