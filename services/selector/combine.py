"""One score of several: the weighted mean of the parts that are there."""

from __future__ import annotations

import math
from collections.abc import Mapping

_DIGITS = 9


def rounded(value: float) -> float:
    """Return a float with 9 significant digits, the precision of everything that enters a manifest."""
    return float(f"{value:.{_DIGITS}g}")


def finite_parts(parts: Mapping[str, float | None]) -> dict[str, float]:
    """Return the parts that are numbers, clipped to [0, 1] and rounded, in order of their names."""
    return {
        name: rounded(min(1.0, max(0.0, value)))
        for name, value in sorted(parts.items())
        if value is not None and math.isfinite(value)
    }


def invalid_part(parts: Mapping[str, float | None]) -> str | None:
    """Return the first score by name that is a number outside of [0, 1], in words; None where there is none."""
    for name, value in sorted(parts.items()):
        if value is not None and math.isfinite(value) and not 0.0 <= value <= 1.0:
            return f"{name}: {value:g}"
    return None


def combine(parts: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    """Return the weighted mean of the parts, in [0, 1].

    Parameters
    ----------
    parts : mapping
        Finite numbers in [0, 1]. The weights of missing parts are spread over the others in proportion.
    weights : mapping
        Non-negative.

    Returns
    -------
    float or None
        None when no part with a positive weight is there: such a sample can never win.
    """
    names = [name for name in sorted(parts) if weights.get(name, 0.0) > 0.0]
    whole = math.fsum(weights[name] for name in names)
    if not names or whole <= 0.0:
        return None
    return rounded(math.fsum(weights[name] * parts[name] for name in names) / whole)
