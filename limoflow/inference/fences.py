"""The fence of code that chat models put around an answer."""

from __future__ import annotations

import re

_OPENING = re.compile(r"\s*```(?:json)?\s*")


def unfenced(answer: str) -> str:
    """Return an answer without the fence (three backticks, or those and `json`) that it begins or ends with."""
    opening = _OPENING.match(answer)
    inside = answer[opening.end() :] if opening else answer
    bare = inside.rstrip()
    return bare.removesuffix("```").rstrip() if bare.endswith("```") else inside
