"""The chat endpoints that runs name, one client each, shared by every score."""

from __future__ import annotations

from typing import Protocol

from limoflow.errors import UsageError
from limoflow.inference.chat_types import Chat
from schemas.run import Chat as Endpoint
from schemas.run import Run

CANDIDATES = 20


class MakeClient(Protocol):
    """Makes the client of an endpoint, such as `limoflow.inference.endpoint.chat_client`."""

    def __call__(self, endpoint: Endpoint, *, top_logprobs: int | None = None) -> Chat:
        """Return the client; with `top_logprobs` it asks for so many candidates for the first token."""
        ...


class Endpoints:
    """Clients by endpoint.

    Parameters
    ----------
    make : callable
        Makes a client.
    """

    def __init__(self, make: MakeClient) -> None:
        self._make = make
        self._clients: dict[str, Chat] = {}

    def of(self, run: Run, *, logprobs: bool = False, temperature: float | None = None) -> Chat:
        """Return the client of `score.chat`.

        Parameters
        ----------
        run : Run
        logprobs : bool
            One that asks for the candidates of the first token.
        temperature : float, optional
            Other than the endpoint's.

        Raises
        ------
        UsageError
            When the run names no endpoint.
        """
        endpoint = run.spec.score.chat
        if endpoint is None:
            raise UsageError("score.chat: no endpoint; set score.chat.base_url and score.chat.model")
        if temperature is not None:
            endpoint = endpoint.model_copy(update={"temperature": temperature})
        key = f"{logprobs} {endpoint.model_dump_json()}"
        if key not in self._clients:
            self._clients[key] = self._make(endpoint, top_logprobs=CANDIDATES if logprobs else None)
        return self._clients[key]

    async def close(self) -> None:
        """Close every client."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
