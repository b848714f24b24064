"""The check: several votes of a chat endpoint on what cannot be executed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from limoflow.errors import ChatRequestError
from limoflow.inference.chat_types import Chat
from schemas.run import Chat as Endpoint
from schemas.run import Run
from schemas.sample import Sample
from services.verifier.checks import Cost, Finding, Options
from services.verifier.judge.ballot import RUBRIC, Vote, ballot, read_vote, tally
from services.verifier.judge.canaries import CANARIES, Canary, OnCanary, Record

_LONGEST = 40_000


class Judge:
    """Off unless the run names `verify.checks.judge` or asks for it; without `verify.chat` the verdict is unknown.

    Options: `votes` (3), `rubric` (criteria by name, each with a sentence that must be true), `canary_every` (20),
    `canary_share` (0.9), `max_tokens` (in all, of this process and endpoint; what comes after is unknown). An endpoint
    that is out raises: the sample waits. A judge that fails its canaries is out of use (verdict unknown, reason
    `judge_out_of_use`) until it has answered a full set rightly.

    Parameters
    ----------
    chat : callable
        Makes the client of an endpoint.
    on_canary : callable, optional
        Called with the model, whether it answered a canary rightly and whether its votes count now.
    """

    name = "judge"
    version = "1"
    cost = Cost.CHAT
    domains: frozenset[str] | None = None

    def __init__(
        self,
        chat: Callable[[Endpoint], Chat] | None = None,
        on_canary: OnCanary | None = None,
    ) -> None:
        self._chat = chat
        self._on_canary = on_canary
        self._clients: dict[str, Chat] = {}
        self._records: dict[str, Record] = {}
        self._examining: dict[str, asyncio.Lock] = {}

    def options_of(self, run: Run) -> Mapping[str, Any] | None:
        """Return the settings with the endpoint, if there is one; None where the run asks for no judge."""
        chosen = run.spec.verify.checks.get(self.name, False)
        if chosen is False:
            return None
        return {**(chosen if isinstance(chosen, dict) else {}), "endpoint": run.spec.verify.chat}

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    async def check(self, sample: Sample, options: Options) -> Finding:
        """Return what the votes amount to.

        Raises
        ------
        DependencyUnavailable
            When the endpoint is out.
        """
        endpoint = options.get("endpoint")
        if endpoint is None or self._chat is None:
            return Finding("unknown", "no_endpoint", evidence="verify.chat names no model")
        length = len(sample.instruction) + len(sample.response)
        if length > _LONGEST:
            return Finding("unknown", "too_long", length, _LONGEST)
        bench = self._bench(endpoint, options)
        spent, most = bench.tokens, options.get("max_tokens")
        if most is not None and spent >= int(most):
            return Finding("unknown", "budget_spent", spent, int(most))
        if not await bench.usable(sample.id):
            return Finding("unknown", "judge_out_of_use", evidence=f"{endpoint.model} fails its canaries")
        return await bench.verdict(sample.instruction, sample.response, sample.id, options)

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    def _bench(self, endpoint: Endpoint, options: Options) -> _Bench:
        key = endpoint.model_dump_json()
        if key not in self._clients:
            assert self._chat is not None  # noqa: S101 - check() has seen to it
            self._clients[key] = self._chat(endpoint)
            every, least = int(options.get("canary_every", 20)), float(options.get("canary_share", 0.9))
            self._records[key] = Record(every=max(1, every), least=least)
            self._examining[key] = asyncio.Lock()
        return _Bench(
            self._clients[key], self._records[key], self._examining[key], endpoint.model, options, self._on_canary
        )


class _Bench:
    """One endpoint as a judge, with its record."""

    def __init__(
        self,
        chat: Chat,
        record: Record,
        examining: asyncio.Lock,
        model: str,
        options: Options,
        on_canary: OnCanary | None,
    ) -> None:
        self._chat = chat
        self._record = record
        self._examining = examining
        self._model = model
        self._options = options
        self._on_canary = on_canary

    @property
    def tokens(self) -> int:
        """Tokens used so far, prompts and answers."""
        return self._chat.usage.prompt_tokens + self._chat.usage.completion_tokens

    async def usable(self, identity: str) -> bool:
        """Put the canaries that are due to the judge, and tell whether it may vote."""
        async with self._examining:
            if not self._record.examined or (not self._record.trusted and self._record.again()):
                await asyncio.gather(*(self._put(canary, f"exam|{at}") for at, canary in enumerate(CANARIES)))
        canary = self._record.drawn(identity)
        if canary is not None and self._record.trusted:
            await self._put(canary, identity)
        return self._record.trusted

    async def _put(self, canary: Canary, identity: str) -> None:
        vote, _ = await self._vote(canary.instruction, canary.response, RUBRIC, f"canary|{identity}", 0)
        right = vote == ("pass" if canary.good else "fail")
        self._record.take(right)
        if self._on_canary is not None:
            trusted = self._record.trusted if self._record.examined else None
            self._on_canary(self._model, right=right, trusted=trusted)

    async def verdict(self, instruction: str, response: str, identity: str, options: Options) -> Finding:
        """Return what the votes on one item amount to."""
        rubric: Mapping[str, str] = options.get("rubric") or RUBRIC
        count = max(1, int(options.get("votes", 3)))
        votes = await asyncio.gather(
            *(self._vote(instruction, response, rubric, identity, number) for number in range(count))
        )
        verdict = tally([vote for vote, _ in votes])
        said = "; ".join(f"{vote} {why}".strip() for vote, why in votes)[:200]
        share = sum(vote == "pass" for vote, _ in votes) / count
        if verdict == "pass":
            return Finding("pass", None, share, 0.5, said)
        return Finding(verdict, "rubric" if verdict == "fail" else "no_majority", share, 0.5, said)

    async def _vote(
        self, instruction: str, response: str, rubric: Mapping[str, str], identity: str, number: int
    ) -> tuple[Vote, str]:
        cast = ballot(instruction, response, rubric, identity, number)
        try:
            answer = await self._chat.complete(cast.messages)
        except ChatRequestError as error:
            return "unknown", f"refused: {type(error).__name__}"
        return read_vote(answer.text, answer.finish_reason, cast)
