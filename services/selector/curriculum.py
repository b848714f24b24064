"""In which order to learn: from easy to hard, paced."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from schemas.sample import Filtering
from services.selector.keys import keyed_hash

Order = Literal["easy_first", "hard_first", "baby_steps"]

_LABELS = {"easy": 0.0, "medium": 2.0, "hard": 4.0}


def difficulty_of(label: str, why: Filtering, by: str) -> float:
    """Return how hard a chosen sample is: its label decides (without one it counts as medium), then a score.

    `by` is a score part or `score`; a sample without that part is in the middle of its label.
    """
    figure = why.score if by == "score" else (why.score_parts or {}).get(by)
    return _LABELS.get(label, _LABELS["medium"]) + (0.5 if figure is None else figure)


def pace(time: float, start: float = 0.2, power: float = 2.0) -> float:
    """Return the share of the data, easiest first, that may be seen at a time of the training.

    g(t) = min(1, (s^p + (1 - s^p) t)^(1/p)) (Platanios et al. 2019; power 1 is linear, 2 their root-2).

    Parameters
    ----------
    time : float
        0 at the beginning, 1 when everything may be seen.
    start : float
        s, the share that is seen at the beginning, above 0 up to 1.
    power : float
        p, above 0.

    Raises
    ------
    ValueError
        When a parameter is out of its range.
    """
    if not (0.0 < start <= 1.0 and power > 0.0 and time >= 0.0):
        raise ValueError(f"a pace needs start in (0, 1], power above 0 and time of 0 or more: {start}, {power}, {time}")
    return float(min(1.0, (start**power + (1.0 - start**power) * time) ** (1.0 / power)))


def curriculum(
    difficulties: Mapping[str, float], order: Order, *, steps: int = 5, start: float = 0.2, power: float = 2.0
) -> tuple[str, ...]:
    """Return ids in the order in which to learn them.

    Parameters
    ----------
    difficulties : mapping
        Of each id; any unit. Equal ones are ordered by id.
    order : {"easy_first", "hard_first", "baby_steps"}
        `baby_steps`: of each of `steps` equal stretches of the training, what `pace` admits at its end and was not seen
        before, in a random order within the stretch (a hash of the id), so that a batch is not all alike.

    Raises
    ------
    ValueError
        When a difficulty is no finite number, or a parameter is out of its range.
    """
    for name, difficulty in difficulties.items():
        if not math.isfinite(difficulty):
            raise ValueError(f"the difficulty of sample {name!r} must be a finite number, not {difficulty}")
    ranked = sorted(difficulties, key=lambda name: (difficulties[name], name))
    if order == "easy_first":
        return tuple(ranked)
    if order == "hard_first":
        return tuple(sorted(difficulties, key=lambda name: (-difficulties[name], name)))
    ordered: list[str] = []
    for step in range(1, steps + 1):
        admitted = ranked[len(ordered) : round(pace(step / steps, start, power) * len(ranked))]
        ordered += _mixed(admitted)
    return tuple(ordered)


def _mixed(names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: (keyed_hash("curriculum", 0, name), name))
