"""Yes or no from several answers of models, and nothing from what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from limoflow.inference.fences import unfenced


def read_vote(text: str) -> tuple[bool, str] | None:
    """Return the vote and its reason of an answer that is one JSON object `{"valid": true or false, "reason": ...}`.

    Anything else is None: a "true" somewhere in a text is no vote (G9).
    """
    try:
        answer = json.loads(unfenced(text), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("valid"), bool):
        return None
    return answer["valid"], str(answer.get("reason", ""))[:200]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that stands twice says two things")
    return found


def majority(votes: Sequence[bool | None]) -> Literal["pass", "fail", "unknown"]:
    """Return what more than half of all votes say, unreadable ones included; `unknown` where neither has that many."""
    for verdict, said in (("pass", True), ("fail", False)):
        if 2 * sum(vote is said for vote in votes) > len(votes):
            return verdict  # type: ignore[return-value]
    return "unknown"
