"""A window of 10^9 samples on 1,000 partitions: what the second level, the disks and the memory have to hold.

`python -m benchmarks.scale.simulation` prints the tables of docs/operate/scale.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.figures import Figure
from benchmarks.scale.exact import pool_counts
from benchmarks.scale.forwards import Course, Stream, bound_of_design, expected_forwarded, simulate
from benchmarks.scale.retention import kept, pool_log
from benchmarks.scale.sizes import Sizes, sizes
from schemas.topics import dead_letters_of, topics

RATE = 10_000.0
REFUSED, DEAD = 0.2, 0.001
LARGE = Stream(samples=10**9, partitions=1_000, reservoir=20_000, sketch=100_000, refused=REFUSED, dead=DEAD)
RULES = ((100, 1_000), (1_000, 10_000), (20_000, 10_000), (20_000, 100_000))
WIDTHS = (12, 64, 250, 1_000)
SMALL = Stream(
    samples=int(os.environ.get("LIMOFLOW_BENCH_SCALE_EXACT", "200000")),
    partitions=16,
    reservoir=100,
    sketch=300,
    strata=2,
    refused=REFUSED,
    dead=0.02,
)
COUNTS = ("forwarded", "fates", "written_back", "sample_tombstones", "fate_tombstones", "held", "fates_held")
DRAWS = 200
_GB, _MB = 1e9, 1e6


@dataclass(frozen=True, slots=True)
class Outcome:
    """One simulated window, at its end or, of what shrinks, where it was largest."""

    stream: Stream
    course: Course
    written: float
    live: float
    compacted: float

    @property
    def forwarded(self) -> int:
        """Samples that the first level forwards."""
        return int(self.course.forwarded[-1])

    @property
    def of_formula(self) -> float:
        """Forwarded samples against k P (1 + ln(n / (k P))), by harmonic numbers."""
        return self.forwarded / expected_forwarded(self.stream)

    @property
    def of_design(self) -> float:
        """Forwarded samples against DESIGN.md's k P ln(n / k)."""
        return self.forwarded / bound_of_design(self.stream)

    @property
    def records_a_sample(self) -> float:
        """Records of selector.pool for each admitted sample."""
        return float(self.course.records[-1]) / self.stream.samples


def outcome(stream: Stream, measured: Sizes, seed: int = 0) -> Outcome:
    """Simulate a window at `RATE` samples a second."""
    course = simulate(stream, np.random.default_rng(seed))
    log = pool_log(course, measured, RATE)
    return Outcome(stream, course, log.written[-1], float(log.live.max()), float(log.compacted.max()))


def memory(stream: Stream, measured: Sizes) -> tuple[float, float]:
    """Return the bytes of the second level, and of one partition of samples.scored at the first, sketches full."""
    samples, fates = stream.strata * stream.reservoir, stream.sketch * measured.held_fate
    return samples * measured.held_sample + fates, samples * measured.known_sample + fates


def deviations(stream: Stream, seed: int = 0) -> dict[str, float]:
    """Return how far the selector's own counts are from the simulated means, in standard deviations of the draws."""
    real = pool_counts(stream, seed)
    courses = [simulate(stream, np.random.default_rng(number)) for number in range(DRAWS)]
    found = {}
    for name in COUNTS:
        drawn = np.array([getattr(course, name)[-1] for course in courses], dtype=np.float64)
        # Where nothing varies, one record is the unit.
        found[name] = float((real[name] - drawn.mean()) / max(1.0, drawn.std()))
    return found


def measure() -> list[Figure]:
    """Check the simulation against the selector, and simulate the large window."""
    worst = max(abs(it) for it in deviations(SMALL).values())
    where = f"{SMALL.samples:,} samples on {SMALL.partitions} partitions"
    figures = [Figure(f"scale: simulation against the selector, {where}, largest deviation", worst, "sigma", 4.0, True)]
    measured = sizes()
    for reservoir, sketch in RULES:
        it = outcome(replace(LARGE, reservoir=reservoir, sketch=sketch), measured)
        name = f"scale: 10^9 samples, 1,000 partitions, reservoir {reservoir:,}, sketch {sketch:,}"
        figures += [
            Figure(f"{name}: forwarded of k·P·ln(n/k)", it.of_design, "", 1.0, True),
            Figure(f"{name}: records of selector.pool a sample", it.records_a_sample, ""),
            Figure(f"{name}: memory of the second level", memory(it.stream, measured)[0] / _MB, "MB"),
        ]
    return figures


def rules_table(measured: Sizes) -> Iterable[str]:
    """Yield the table of reservoirs and sketches."""
    yield (
        "| reservoir | sketch | samples forwarded | of k·P·(1+ln(n/kP)) | of k·P·ln(n/k) | fates forwarded "
        "| pool records a sample | written, GB | largest with compaction, GB | live, MB | second level, MB "
        "| first, MB a partition |"
    )
    yield "|---:" * 12 + "|"
    for reservoir, sketch in RULES:
        it = outcome(replace(LARGE, reservoir=reservoir, sketch=sketch), measured)
        second, first = memory(it.stream, measured)
        yield (
            f"| {reservoir:,} | {sketch:,} | {it.forwarded:.3g} | {it.of_formula:.4f} | {it.of_design:.2f} "
            f"| {float(it.course.fates[-1]):.3g} | {it.records_a_sample:.3f} | {it.written / _GB:.0f} "
            f"| {it.compacted / _GB:.0f} | {it.live / _MB:.0f} | {second / _MB:.0f} | {first / _MB:.1f} |"
        )


def widths_table(measured: Sizes) -> Iterable[str]:
    """Yield the table of partitions, and of restarts."""
    yield "| partitions | restarts | samples forwarded | fates forwarded | pool records a sample |"
    yield "|---:" * 5 + "|"
    for partitions, restarts in (*((width, 0) for width in WIDTHS), (WIDTHS[-1], 9)):
        it = outcome(replace(LARGE, partitions=partitions, sketch=10_000, restarts=restarts), measured)
        fates = float(it.course.fates[-1])
        yield f"| {partitions:,} | {restarts} | {it.forwarded:.3g} | {fates:.3g} | {it.records_a_sample:.3f} |"


def dead_letters_table(measured: Sizes) -> Iterable[str]:
    """Yield the table of the dead-letter topic."""
    hours = topics()[dead_letters_of("scorer")].retention
    assert isinstance(hours, int)
    yield f"| samples a day | dead letters | bytes a day | kept ({hours} h, 3 replicas) |"
    yield "|---:" * 4 + "|"
    for samples in (1e6, 1e7, RATE * 86_400):
        for share in (DEAD, 0.01):
            a_day = samples * share * measured.dead_letter
            stored = kept(samples, share * measured.dead_letter, hours)
            yield f"| {samples:.3g} | {share:.1%} | {a_day / _GB:.3g} GB | {stored / _GB:.3g} GB |"


def main() -> None:
    """Print the tables."""
    measured = sizes()
    lines = [repr(measured), "", *rules_table(measured), "", *widths_table(measured), "", *dead_letters_table(measured)]
    lines += ["", *(f"{name}: {value:+.2f}" for name, value in deviations(SMALL).items())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
