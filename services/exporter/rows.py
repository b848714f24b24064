"""What a finalized sample looks like outside: no embedding, no timing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limoflow.release_rows import earlier_turns
from schemas.release import Release
from schemas.sample import Sample


@dataclass(frozen=True, slots=True)
class ReleaseData:
    """A release and its rows, in the order of the manifest."""

    release: Release
    rows: Sequence[Sample]


def portable(sample: Sample) -> dict[str, Any]:
    """Return the sample as JSON values without its embedding (large) and without how long each check took.

    What is left does not depend on how fast the machine was, so the same release gives the same bytes.
    """
    content: dict[str, Any] = sample.model_dump(mode="json", by_alias=True, exclude_unset=True)
    metadata = content.get("metadata", {})
    (metadata.get("advanced_assessment") or {}).pop("embedding", None)
    for result in ((metadata.get("verification") or {}).get("results") or {}).values():
        result.pop("seconds", None)
    return content


def conversation(sample: Sample) -> list[dict[str, str]]:
    """Return the sample as chat turns: what came before, the instruction, the response."""
    turns = [{"role": turn.role, "content": turn.content} for turn in earlier_turns(sample)]
    turns.append({"role": "user", "content": sample.instruction})
    turns.append({"role": "assistant", "content": sample.response})
    return turns
