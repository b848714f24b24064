"""The measured rates against the model of what limits them. `python -m benchmarks.scale.rates` prints the table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from benchmarks.figures import Figure
from benchmarks.scale.limits import Costs, fitted, modelled
from benchmarks.scale.throughput import Case, cases


def measure() -> list[Figure]:
    """Measure all cases, and how far the model is from them."""
    done = cases()
    sys.stderr.write("\n".join(rates_table(done)) + "\n")
    costs = fitted(done)
    ratios = [case.rate / modelled(case, costs)[1] for case in done]
    largest = max(done, key=lambda case: case.partitions).partitions
    of = {(case.partitions, case.workers): case.rate for case in done}
    figures = [
        Figure(f"scale: selector on Kafka, {workers} workers, {partitions} partitions", rate, "samples/s")
        for (partitions, workers), rate in of.items()
        if partitions in (min(it.partitions for it in done), largest)
    ]
    return [
        *figures,
        *(Figure(f"scale: processor time, {name}", value * 1e6, "µs") for name, value in named(costs)),
        Figure("scale: measured against modelled rate, smallest", min(ratios), ""),
        Figure("scale: measured against modelled rate, largest", max(ratios), ""),
    ]


def named(costs: Costs) -> Iterable[tuple[str, float]]:
    """Yield the costs with their names."""
    yield "first level, a sample", costs.first
    yield "second level, a pool record", costs.second
    yield "broker, a sample", costs.broker_sample
    yield "broker, a pool record", costs.broker_record


def rates_table(done: Sequence[Case]) -> Iterable[str]:
    """Yield the table of measured and modelled rates."""
    costs = fitted(done)
    yield (
        "| partitions | workers | samples/s | modelled | limited by | pool records a sample | first level, µs a sample "
        "| second level, µs a pool record | broker, µs a sample | cores idle | cores of others |"
    )
    yield "|---:" * 4 + "|---" + "|---:" * 6 + "|"
    for case in done:
        limit, rate = modelled(case, costs)
        yield (
            f"| {case.partitions} | {case.workers} | {case.rate:,.0f} | {rate:,.0f} | {limit} "
            f"| {case.pool_records / case.samples:.2f} | {case.first_cpu / case.samples * 1e6:.0f} "
            f"| {case.second_cpu / case.pool_records * 1e6:.0f} | {case.broker_cpu / case.samples * 1e6:.0f} "
            f"| {case.idle:.2f} | {case.others:.2f} |"
        )
    yield ""
    yield ", ".join(f"{name}: {value * 1e6:.0f} µs" for name, value in named(costs))


def main() -> None:
    """Print the table."""
    sys.stdout.write("\n".join(rates_table(cases())) + "\n")


if __name__ == "__main__":
    main()
