"""What limits the selector's rate: its first-level workers, its one second-level worker, or the cores.

Three bounds, of which the lowest counts; each needs only the processor time that an event costs:

    rate = min(1 / (share first), 1 / (records second), cores / (first + records second + broker))

with `share` the largest part of the samples that one worker of the first level gets (1 / workers at best), and
`records` the pool records a sample (simulated: forwards.py). A process counts as one core: Python runs one thread at a
time, and what librdkafka does beside it is part of the cost and not of the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scale.throughput import Case


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor seconds.

    Attributes
    ----------
    first : float
        The first level, for a sample, what it writes included.
    second : float
        The second level, for a record of the pool.
    broker_sample, broker_record : float
        The broker, for a sample and for a record of the pool, all writes and reads of it included.
    """

    first: float
    second: float
    broker_sample: float
    broker_record: float

    def together(self, records: float) -> float:
        """Return what a sample costs all processes together, with so many records of the pool for each."""
        return self.first + self.broker_sample + records * (self.second + self.broker_record)

    def bounds(self, share: float, records: float, cores: float) -> dict[str, float]:
        """Return the rate in samples a second that each limit allows, lowest first."""
        found = {
            "first level": 1.0 / (share * self.first),
            "second level": 1.0 / (records * self.second) if records else float("inf"),
            "cores": cores / self.together(records),
        }
        return dict(sorted(found.items(), key=lambda bound: bound[1]))


def fitted(cases: Sequence[Case]) -> Costs:
    """Return the costs that explain the processor times of all cases best, by least squares."""
    samples = np.array([case.samples for case in cases], dtype=np.float64)
    records = np.array([case.pool_records for case in cases], dtype=np.float64)
    broker = np.array([case.broker_cpu for case in cases])
    both, *_ = np.linalg.lstsq(np.column_stack([samples, records]), broker, rcond=None)
    return Costs(
        first=sum(case.first_cpu for case in cases) / samples.sum(),
        second=sum(case.second_cpu for case in cases) / records.sum(),
        broker_sample=float(both[0]),
        broker_record=float(both[1]),
    )


def modelled(case: Case, costs: Costs) -> tuple[str, float]:
    """Return what limits a case and the rate that this allows, with the cores that others left it."""
    bounds = costs.bounds(case.largest, case.pool_records / case.samples, case.cores)
    return next(iter(bounds.items()))
