"""The client of the chat endpoint that a run names."""

from __future__ import annotations

import os

from limoflow.errors import PoisonError
from limoflow.inference.chat_types import Chat, ChatObserver, ChatSettings
from schemas.run import Chat as Endpoint
from schemas.run import own_variable_fault


def chat_client(endpoint: Endpoint, observer: ChatObserver | None = None, top_logprobs: int | None = None) -> Chat:
    """Return the client of the endpoint that a run names; without its key in the environment, none is sent.

    An endpoint that asks for one then refuses each request, and the error names the variable.

    Parameters
    ----------
    endpoint : Endpoint
    observer : ChatObserver, optional
        Hears of every answer.
    top_logprobs : int, optional
        Ask for the log-probabilities of so many candidates for the first token.

    Raises
    ------
    PoisonError
        When the run names a variable that is the services' own.
    """
    from limoflow.inference.chat import ChatClient

    fault = own_variable_fault(endpoint.api_key_env)
    if fault is not None:
        raise PoisonError(fault)

    key_is_set = bool(os.environ.get(endpoint.api_key_env))
    settings = ChatSettings(
        base_url=endpoint.base_url,
        model=endpoint.model,
        api_key_env=endpoint.api_key_env if key_is_set else "",
        api_key_unset="" if key_is_set else endpoint.api_key_env,
        temperature=endpoint.temperature,
        max_tokens=endpoint.max_tokens,
        timeout=endpoint.timeout_seconds,
        total_timeout=5 * endpoint.timeout_seconds,
        concurrency=endpoint.concurrency,
        requests_per_minute=endpoint.requests_per_minute,
        tokens_per_minute=endpoint.tokens_per_minute,
        top_logprobs=top_logprobs,
    )
    return ChatClient(settings, observer=observer)
