"""The generator as a layer."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections import Counter
from collections.abc import Callable, Mapping

from limoflow.layer import LayerResult, Rejection
from schemas.identity import child_id
from schemas.run import Run
from schemas.run import Strategy as Wanted
from schemas.sample import Metadata, Reference, Sample
from services.generator.strategies import Draft, Refusal, Strategy

_LATER_PARTS = ("verification", "evaluations", "filtering", "advanced_assessment", "creation_timestamp")


class Generator:
    """A layer that lets originals pass and adds the children that a run's strategies make of them.

    Parameters
    ----------
    strategies : mapping of str to Strategy
    on_refusal : callable, optional
        Called with strategy and reason for every child that was not made, for metrics.

    Attributes
    ----------
    refusals : Counter
        Children that were not made, by (strategy, reason).
    """

    name = "generator"
    version = "1"

    def __init__(
        self, strategies: Mapping[str, Strategy], on_refusal: Callable[[str, str], None] | None = None
    ) -> None:
        self._strategies = strategies
        self._on_refusal = on_refusal
        self.refusals: Counter[tuple[str, str]] = Counter()

    async def process(self, sample: Sample, run: Run) -> LayerResult:
        """Make the children of one sample; what is a child already passes."""
        if sample.lineage.parent is not None:
            return LayerResult(passed=(sample,))
        children: list[Sample] = []
        for wanted in run.spec.generate.strategies:
            if _drawn(sample, wanted, run):
                children += await self._children(sample, wanted, run)
        if run.spec.generate.keep_originals:
            return LayerResult(passed=(sample, *children))
        return LayerResult(tuple(children), (Rejection(sample, "original_not_kept", "keep_originals", "false"),))

    async def _children(self, parent: Sample, wanted: Wanted, run: Run) -> list[Sample]:
        strategy = self._strategies.get(wanted.kind)
        if strategy is None:
            self._refused(wanted.kind, "unknown_strategy")
            return []
        made: list[Sample] = []
        texts = {(parent.instruction, parent.response)}
        for ordinal in range(wanted.per_sample):
            # A strategy that computes awaits nothing, and heartbeats and probes wait for the event loop.
            await asyncio.sleep(0)
            identity = child_id(parent.id, self.name, f"{self.version}/{wanted.kind}/{strategy.version}", ordinal)
            outcome = strategy.make(parent, identity, run)
            draft = await outcome if inspect.isawaitable(outcome) else outcome
            if isinstance(draft, Refusal):
                self._refused(wanted.kind, draft.reason)
            elif (draft.instruction, draft.response) in texts:
                self._refused(wanted.kind, "repeat")
            else:
                texts.add((draft.instruction, draft.response))
                made.append(_child(parent, identity, draft))
        return made

    async def close(self) -> None:
        """Release what the strategies hold."""
        for strategy in self._strategies.values():
            close = getattr(strategy, "close", None)
            if close is not None:
                await close()

    def _refused(self, strategy: str, reason: str) -> None:
        self.refusals[strategy, reason] += 1
        if self._on_refusal is not None:
            self._on_refusal(strategy, reason)


def _drawn(sample: Sample, wanted: Wanted, run: Run) -> bool:
    """Tell whether a sample is in the strategy's share: by a hash, so that redelivery draws alike."""
    if wanted.share >= 1:
        return True
    state = hashlib.blake2b(f"{run.spec.seed}|{wanted.kind}|{sample.id}".encode(), digest_size=8)
    return int.from_bytes(state.digest(), "big") / 2**64 < wanted.share


def _child(parent: Sample, identity: str, draft: Draft) -> Sample:
    metadata = parent.metadata
    kept = {name: getattr(metadata, name) for name in metadata.model_fields_set if name not in _LATER_PARTS}
    kept.update(metadata.model_extra or {})
    lineage = parent.lineage
    kept["lineage"] = lineage.model_copy(
        update={"parent": parent.id, "versions": {**lineage.versions, **draft.versions}}
    )
    kept.pop("reference", None)
    if draft.answer is not None:
        kept["reference"] = Reference(answer=draft.answer)
    return Sample(
        id=identity, instruction=draft.instruction, response=draft.response, metadata=Metadata.model_construct(**kept)
    )
