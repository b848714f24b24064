"""Strategies by name, with their parameters checked."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from services.selector.strategies.cluster_pick import ClusterPick
from services.selector.strategies.dendis import DensityAndDistance
from services.selector.strategies.density import DoubleDensity
from services.selector.strategies.dpp import DeterminantalPointProcess
from services.selector.strategies.facility_location import FacilityLocation
from services.selector.strategies.interface import Parameters, Strategy
from services.selector.strategies.k_center import KCenter
from services.selector.strategies.mmr import MaximalMarginalRelevance
from services.selector.strategies.plain import TopScore, Uniform
from services.selector.strategies.representation import RepresentationFilter
from services.selector.strategies.semdedup import SemanticDeduplication

STRATEGIES: Final[Mapping[str, type[Parameters]]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ClusterPick,
            DensityAndDistance,
            DoubleDensity,
            DeterminantalPointProcess,
            FacilityLocation,
            KCenter,
            MaximalMarginalRelevance,
            RepresentationFilter,
            SemanticDeduplication,
            TopScore,
            Uniform,
        )
    }
)
"""Our own strategies."""


def strategy_of(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """Return a strategy.

    Raises
    ------
    ValueError
        When the name or a parameter is unknown, or a value out of range; the message says which and what is known.
    """
    if name not in STRATEGIES:
        raise ValueError(f"select.diversity.strategy: {name!r} is unknown; known: {', '.join(sorted(STRATEGIES))}")
    kind = STRATEGIES[name]
    try:
        found: Any = kind(**parameters)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors())
        known = ", ".join(kind.model_fields) or "none"
        raise ValueError(f"select.diversity.parameters of {name!r}: {said} (known: {known})") from error
    chosen: Strategy = found
    return chosen
