"""How the selector scales: rates on Kafka with a model of what limits them, and a simulated window of 10^9 samples.

`python -m benchmarks scale` does all of it; `python -m benchmarks.scale.rates` and
`python -m benchmarks.scale.simulation` print the tables of docs/operate/scale.md.
"""

from __future__ import annotations

from benchmarks.figures import Figure
from benchmarks.scale import rates, simulation


def measure() -> list[Figure]:
    """Measure the rates, then simulate."""
    return [*rates.measure(), *simulation.measure()]
