"""Learning potential: how closely a sample's rewards in training follow the mean curve (LIMR, Li et al. 2025).

A pure function over a trainer's records (services/trainer/rewards.py). For supervised training the reward is exp(-mean
answer loss) at a checkpoint [own]; the published bound of 0.6 does not carry over to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limoflow.errors import DependencyUnavailable, UsageError
from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.score import About, Cost, Figures

BOUND = 0.6
ROLE = "rewards"

Record = Sequence[float | None]


class RewardLine(BaseModel):
    """One line of a trainer's rewards.jsonl: rewards in [0, 1] at each checkpoint, null where there was none."""

    model_config = ConfigDict(extra="ignore", strict=True)

    content_hash: str
    rewards: list[Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] | None]


class LearningPotential:
    """The plug-in: `learning_potential`, and the raw figure under `learning`.

    Parameters
    ----------
    rewards : Path
        Folder of the records that runs name.
    """

    name = "learning_potential"
    version = "1"
    about = About(
        "1 - distance from the mean curve", "more", Cost.TEXT, "Li et al. 2025, arXiv 2502.11886", "max(0, x)"
    )

    def __init__(self, rewards: Path) -> None:
        self._folder = rewards
        self._known: dict[str, Mapping[str, float]] = {}

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:  # noqa: ARG002
        """Look the text up in the records that were fixed when the run was submitted."""
        name = run.models.get(ROLE)
        if run.spec.score.learning is None or name is None:
            return Figures()
        found = self._potentials(name).get(sample.content_hash)
        if found is None:
            why = f"the training {name} has no complete record of this text"
            return Figures(assessment={"learning_potential": None}, reasons={"learning_potential": why})
        raw = {"potential": found, "records": name}
        return Figures(assessment={"learning_potential": max(0.0, found), "learning": raw})

    def _potentials(self, name: str) -> Mapping[str, float]:
        if name not in self._known:
            path = self._folder / f"{name}.jsonl"
            if not path.is_file():
                raise DependencyUnavailable(f"the records of rewards are not at {path}; put the run's file there")
            self._known[name] = learning_potential(read_rewards(path))
        return self._known[name]


def read_rewards(path: Path) -> dict[str, Record]:
    """Return the rewards of each text by its content hash.

    Raises
    ------
    UsageError
        When the file cannot be read, a line is no record, or the records differ in length.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; name a trainer's rewards.jsonl") from error
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = RewardLine.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise UsageError(f"{path}, line {number}: is no record of rewards: {problem['msg']}") from error
        records[record.content_hash] = record.rewards
    lengths = sorted({len(record) for record in records.values()})
    if len(lengths) != 1:
        raise UsageError(f"{path}: holds records of {lengths or 'no'} checkpoints; every line needs the same number")
    return records


def learning_potential(records: Mapping[str, Record]) -> dict[str, float]:
    """Return 1 - sum_k (r_ik - mean_k)^2 / sum_k (1 - mean_k)^2 of every sample whose record can be completed.

    Parameters
    ----------
    records : mapping of str to sequence
        Sample to its reward at each checkpoint, in [0, 1]; None where it was not seen. All are of one length. As in
        the published code (98ebf1b) a gap takes the value of the checkpoint after it, in one pass from the first on,
        and a sample that still has a gap has no score.

    Returns
    -------
    dict of str to float
        At most 1; may be negative. Empty where every mean is 1, since nothing was left to learn.

    Raises
    ------
    ValueError
        When lengths differ, or a reward is not in [0, 1].
    """
    lengths = {len(record) for record in records.values()}
    if len(lengths) > 1:
        raise ValueError(f"records of {sorted(lengths)} checkpoints cannot be compared; give every sample the same")
    filled = {name: _filled(name, records[name]) for name in sorted(records)}
    known = {name: record for name, record in filled.items() if record is not None}
    if not known:
        return {}
    means = [math.fsum(column) / len(known) for column in zip(*known.values(), strict=True)]
    scale = math.fsum((1.0 - mean) ** 2 for mean in means)
    if scale <= 0.0:
        return {}
    return {
        name: 1.0 - math.fsum((r - mean) ** 2 for r, mean in zip(record, means, strict=True)) / scale
        for name, record in known.items()
    }


def _filled(name: str, record: Record) -> list[float] | None:
    for reward in record:
        if reward is not None and not 0.0 <= reward <= 1.0:
            raise ValueError(f"sample {name!r}: reward {reward!r} is not in [0, 1]")
    following = [*record[1:], None]
    filled = [after if reward is None else reward for reward, after in zip(record, following, strict=True)]
    return None if not filled or None in filled else [reward for reward in filled if reward is not None]
