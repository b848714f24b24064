"""Strategies by name, found through entry points, with their parameters checked."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from limoflow.plugins import load_operator, operators
from services.selector.strategies.interface import Strategy

GROUP: Final = "limoflow.selections"
OWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: f"services.selector.strategies.{place}"
        for name, place in {
            "cluster_pick": "cluster_pick:ClusterPick",
            "dendis": "dendis:DensityAndDistance",
            "density": "density:DoubleDensity",
            "dpp": "dpp:DeterminantalPointProcess",
            "facility_location": "facility_location:FacilityLocation",
            "k_center": "k_center:KCenter",
            "mmr": "mmr:MaximalMarginalRelevance",
            "random": "plain:Uniform",
            "representation_filter": "representation:RepresentationFilter",
            "semdedup": "semdedup:SemanticDeduplication",
            "top_score": "plain:TopScore",
        }.items()
    }
)
"""Our own strategies, for a checkout whose metadata is not installed."""


def known_strategies() -> list[str]:
    """Return the names of all strategies that are installed, sorted."""
    return list(operators(GROUP, OWN))


def strategy_of(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """Return a strategy.

    Raises
    ------
    ValueError
        When the name or a parameter is unknown, or a value out of range; the message says which and what is known.
    """
    known = known_strategies()
    if name not in known:
        raise ValueError(f"select.diversity.strategy: {name!r} is unknown; known: {', '.join(known)}")
    kind = load_operator(GROUP, name, OWN)
    try:
        found: Strategy = kind(**parameters)
    except (TypeError, ValidationError) as error:
        raise ValueError(f"select.diversity.parameters of {name!r}: {_said(error, kind)}") from error
    return found


def _said(error: Exception, kind: Any) -> str:
    known = ", ".join(getattr(kind, "model_fields", {})) or "none"
    if not isinstance(error, ValidationError):
        return f"{error} (known: {known})"
    said = "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors())
    return f"{said} (known: {known})"
