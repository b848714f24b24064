"""Scoring models behind Triton servers, over gRPC: deadlines, one error vocabulary, and healing of dead stubs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from limoflow.errors import DeadlineExceeded, DependencyUnavailable, LimoflowError, ModelRequestError
from limoflow.inference.triton_servers import TritonServers
from limoflow.inference.types import DEFAULT_LAYOUT, LABELS_LAYOUT, AnswerLikelihood

EMBEDDER = "embedder"
MOST_TEXTS = 64
REFUSED = ("INVALID_ARGUMENT", "INTERNAL", "UNIMPLEMENTED", "FAILED_PRECONDITION", "OUT_OF_RANGE")
DEAD_STUB = ("is not healthy", "Stub process")
NOT_LOADED = ("unknown model", "is not ready", "not found", "no version is available", "is not available")


class ModelNotServed(DependencyUnavailable):
    """The server answers, but this model is not loaded, or the process behind it is dead."""


class TritonModels:
    """Scoring models on one Triton server or several; implements `limoflow.inference.types.ScoringModels`.

    A model that is not loaded, or whose Python process died while the server says READY, is healed by the explicit
    model control of the server: one healer at a time, and not more often than every `heal_seconds`. A healer asks every
    server behind the address, and mends those that do not serve the model; where a call met a dead process and no probe
    does, those whose failures go on since the look before. The call that found it raises
    `DependencyUnavailable`; later calls succeed.

    Parameters
    ----------
    url : str
        gRPC address, ``host:port``; where several servers are behind it, calls go to them in turn.
    deadline : float
        Seconds for one inference, waiting in the server's queue included.
    load_deadline : float
        Seconds for the loading of one model.
    heal_seconds : float
        Least time between two healings of one model.
    renew_seconds : float
        Time after which servers that were added get calls.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: float = 30.0,
        load_deadline: float = 120.0,
        heal_seconds: float = 5.0,
        renew_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._deadline = deadline
        self._load_deadline = load_deadline
        self._heal_seconds = heal_seconds
        self._clock = clock
        self._servers = TritonServers(url, call_seconds=deadline, renew_seconds=renew_seconds, clock=clock)
        self._healings: dict[str, asyncio.Task[None]] = {}
        self._healed_at: dict[str, float] = {}
        self._failed: dict[tuple[str, str], int] = {}

    async def embed(self, text: str) -> NDArray[np.float32]:
        """Return the L2-normalised embedding of `text`, shape (dimensions,)."""
        return (await self.embed_many([text]))[0]

    async def embed_many(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the embedding of each text, in their order, asking for up to 64 texts in one request."""
        rows: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), MOST_TEXTS):
            answer = await self._ask(EMBEDDER, {"TEXT": texts[start : start + MOST_TEXTS]})
            rows.extend(answer.as_numpy("EMBEDDING"))
        return rows

    async def likelihood(
        self, model: str, instruction: str, response: str, layout: str = DEFAULT_LAYOUT
    ) -> AnswerLikelihood:
        """Return the likelihood of `response` given `instruction` under the causal LM named `model`."""
        asked = {"INSTRUCTION": [instruction], "RESPONSE": [response], "LAYOUT": [layout]}
        answer = await self._ask(model, asked)
        return AnswerLikelihood(
            loss_conditioned=float(answer.as_numpy("NLL_CONDITIONED")[0, 0]),
            loss_direct=float(answer.as_numpy("NLL_DIRECT")[0, 0]),
            tokens_conditioned=int(answer.as_numpy("TOKENS_CONDITIONED")[0, 0]),
            tokens_direct=int(answer.as_numpy("TOKENS_DIRECT")[0, 0]),
            truncated=bool(answer.as_numpy("TRUNCATED")[0, 0]),
            reason=answer.as_numpy("REASON")[0, 0].decode("utf-8"),
        )

    async def labels(self, model: str, prompt: str) -> tuple[float, ...]:
        """Return ln p of each label as the token after `prompt` under the causal LM named `model`."""
        answer = await self._ask(model, {"INSTRUCTION": [prompt], "RESPONSE": [""], "LAYOUT": [LABELS_LAYOUT]})
        return tuple(float(value) for value in answer.as_numpy("LABELS")[0])

    async def ready(self, model: str) -> None:
        """Return when one inference on the embedder and on `model` has succeeded; heal and raise otherwise."""
        await self.embed("ready")
        await self.likelihood(model, "ready", "ready")

    async def ensure_loaded(self, model: str) -> None:
        """Load `model` on every server where one inference on it does not succeed.

        Raises
        ------
        ModelRequestError
            If a server cannot load it: not in its repository, or its files are broken.
        DependencyUnavailable
            If no server answers; one that is out while others serve is healed once it is back.
        """
        faults = await self._mend(model)
        told = [fault for fault in faults if fault is not None]
        refusals = [fault for fault in told if isinstance(fault, ModelRequestError)]
        if refusals or len(told) == len(faults):
            raise (refusals or told)[0]

    async def close(self) -> None:
        """Stop healing and close the connections."""
        for healing in self._healings.values():
            healing.cancel()
        await asyncio.gather(*self._healings.values(), return_exceptions=True)
        await self._servers.close()

    async def _ask(self, model: str, texts: Mapping[str, Sequence[str]]) -> Any:
        try:
            return await self._infer(self._servers.in_turn(), self._url, model, texts)
        except ModelNotServed as error:
            self._start_healing(model, died=_is_dead_stub(str(error)))
            raise

    async def _infer(
        self, client: InferenceServerClient, where: str, model: str, texts: Mapping[str, Sequence[str]]
    ) -> Any:
        inputs = [_string_input(name, column) for name, column in texts.items()]
        call = client.infer(model, inputs, client_timeout=self._deadline)
        return await _translated(call, f"model {model} on {where}", self._deadline)

    def _start_healing(self, model: str, *, died: bool) -> None:
        healing = self._healings.get(model)
        if healing is not None and not healing.done():
            return
        last = self._healed_at.get(model)
        if last is not None and self._clock() - last < self._heal_seconds:
            return
        self._healed_at[model] = self._clock()
        self._healings[model] = asyncio.create_task(self._heal(model, died=died))

    async def _heal(self, model: str, *, died: bool) -> None:
        """Mend `model`; what goes wrong is met again by the next call, which reports it."""
        try:
            with suppress(LimoflowError):
                await self._mend(model, died=died)
        finally:
            self._healed_at[model] = self._clock()

    async def _mend(self, model: str, *, died: bool = False) -> list[LimoflowError | None]:
        """Load `model` on each server that does not serve it; return what went wrong there.

        `died` says that a call has met a dead process of it, of which there may be several.
        """
        addresses = await self._servers.addresses()
        return await asyncio.gather(*(_fault(self._mend_at(address, model, died)) for address in addresses))

    async def _mend_at(self, address: str, model: str, died: bool) -> None:
        async with self._servers.alone(address) as client:
            try:
                # A server hands calls to the instances in turn, and other calls come between.
                for _ in range(2 * await self._instances(client, address, model)):
                    await self._infer(client, address, model, _probe(model))
                dead = died and await self._fails_on(client, address, model)
            except ModelNotServed as error:
                dead = _is_dead_stub(str(error))
            else:
                if not dead:
                    return
            if dead:
                await self._unload(client, address, model)
            await self._load(client, address, model)

    async def _instances(self, client: InferenceServerClient, address: str, model: str) -> int:
        """Return how many processes serve `model` there."""
        call = client.get_model_config(model, client_timeout=self._deadline)
        answer = await _translated(call, f"model {model} on {address}", self._deadline)
        return int(sum(group.count * max(1, len(group.gpus)) for group in answer.config.instance_group))

    async def _fails_on(self, client: InferenceServerClient, address: str, model: str) -> bool:
        """Whether more requests have failed there than at the last look; a server counts anew when it loads."""
        call = client.get_inference_statistics(model, client_timeout=self._deadline)
        answer = await _translated(call, f"model {model} on {address}", self._deadline)
        failed = int(sum(version.inference_stats.fail.count for version in answer.model_stats))
        before = self._failed.get((address, model), failed)
        self._failed[address, model] = failed
        return failed > before

    async def _unload(self, client: InferenceServerClient, address: str, model: str) -> None:
        call = client.unload_model(model, client_timeout=self._load_deadline)
        await _translated(call, f"model {model} on {address}", self._load_deadline)

    async def _load(self, client: InferenceServerClient, address: str, model: str) -> None:
        call = client.load_model(model, client_timeout=self._load_deadline)
        try:
            await _translated(call, f"model {model} on {address}", self._load_deadline)
        except ModelNotServed as error:
            raise ModelRequestError(str(error)) from error


async def _fault(work: Awaitable[None]) -> LimoflowError | None:
    try:
        await work
    except LimoflowError as error:
        return error
    return None


async def _translated(call: Awaitable[Any], what: str, seconds: float) -> Any:
    try:
        return await call
    except InferenceServerException as error:
        raise _translate(error, what, seconds) from error


def _probe(model: str) -> Mapping[str, Sequence[str]]:
    """Return a small request to `model`."""
    if model == EMBEDDER:
        return {"TEXT": ["ready"]}
    return {"INSTRUCTION": ["ready"], "RESPONSE": ["ready"], "LAYOUT": [DEFAULT_LAYOUT]}


def _string_input(name: str, texts: Sequence[str]) -> InferInput:
    try:
        column = np.array([text.encode("utf-8") for text in texts], dtype=np.object_).reshape(-1, 1)
    except UnicodeEncodeError as error:
        raise ModelRequestError(f"{name.lower()} is not valid Unicode: {error.reason} at {error.start}") from error
    made = InferInput(name, list(column.shape), "BYTES")
    made.set_data_from_numpy(column)
    return made


def _is_dead_stub(message: str) -> bool:
    return any(sign in message for sign in DEAD_STUB)


def _translate(error: InferenceServerException, what: str, seconds: float) -> LimoflowError:
    """Return the error of ours that says who is at fault: the server, this model's process, or this request."""
    message, status = str(error.message()), str(error.status()).removeprefix("StatusCode.")
    if status == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(f"{what}: no answer within {seconds:g} s")
    if _is_dead_stub(message) or any(sign in message for sign in NOT_LOADED):
        return ModelNotServed(f"{what}: {message}")
    if status in REFUSED:
        return ModelRequestError(f"{what} refuses this request: {message}")
    return DependencyUnavailable(f"{what}: {status.lower()}: {message}")
