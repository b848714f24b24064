"""The simulated window is what the selector does, and the bound of DESIGN.md holds."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale.exact import pool_counts
from benchmarks.scale.forwards import Stream, bound_of_design, entries, expected_forwarded, simulate
from benchmarks.scale.limits import Costs, fitted, modelled
from benchmarks.scale.retention import DIRTY, TOMBSTONES_S, disk, pool_log
from benchmarks.scale.simulation import COUNTS, LARGE, RULES, memory
from benchmarks.scale.sizes import Sizes
from benchmarks.scale.throughput import Case
from limoflow.stream import topics_admin
from tests.support.stack import REPOSITORY

DRAWS = 60
PLAIN = Stream(samples=4_000, partitions=8, reservoir=15, sketch=40)
STREAMS = {
    "plain": PLAIN,
    "strata": replace(PLAIN, strata=3),
    "refused and dead-lettered before": replace(PLAIN, refused=0.3, dead=0.1),
    "restarts": replace(PLAIN, refused=0.2, restarts=3),
    "more than the window kept": replace(PLAIN, reservoir=600, sketch=5_000),
    "one partition, the last row not full": replace(PLAIN, samples=3_001, partitions=16, strata=2, dead=0.05),
}
PAGE = (REPOSITORY / "docs" / "operate" / "scale.md").read_text(encoding="utf-8")
SIZES = Sizes(2_000, 300, 310, 290, 2_500, 2_200.0, 400.0, 400.0)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_the_simulated_counts_are_those_of_the_selector(stream: Stream) -> None:
    real = pool_counts(stream, seed=5)
    courses = [simulate(stream, np.random.default_rng(seed)) for seed in range(DRAWS)]
    for name in COUNTS:
        drawn = np.array([getattr(course, name)[-1] for course in courses], dtype=float)
        # Where nearly nothing varies, what is rounded differs by a row.
        allowed = 4.5 * max(drawn.std(), stream.partitions / 4.5)
        assert abs(real[name] - drawn.mean()) <= allowed, (name, real[name], drawn.mean(), drawn.std())


def test_the_records_of_the_pool_topic_are_the_sum_of_what_the_selector_wrote() -> None:
    course = simulate(PLAIN, np.random.default_rng(0))
    real = pool_counts(PLAIN, seed=1)
    written = sum(real[name] for name in COUNTS if "held" not in name)
    assert written == pytest.approx(course.records[-1], rel=0.06)
    assert (np.diff(course.records) >= 0).all()


@given(
    partitions=st.integers(3, 10_000),
    reservoir=st.integers(1, 100_000),
    full=st.floats(1.0, 1e5),
    strata=st.integers(1, 20),
)
def test_no_more_is_forwarded_than_the_bound_of_the_design(
    partitions: int, reservoir: int, full: float, strata: int
) -> None:
    samples = int(partitions * reservoir * strata * full) + partitions * strata
    stream = Stream(samples=samples, partitions=partitions, reservoir=reservoir, sketch=1_000, strata=strata)
    assert expected_forwarded(stream) <= bound_of_design(stream)
    assert expected_forwarded(stream) <= samples


def test_the_mean_of_the_draws_is_the_formula() -> None:
    stream = replace(LARGE, samples=10**7, sketch=10_000, refused=0.0, dead=0.0, reservoir=500)
    drawn = [simulate(stream, np.random.default_rng(seed)).forwarded[-1] for seed in range(20)]
    assert np.mean(drawn) == pytest.approx(expected_forwarded(stream), rel=1e-3)
    kept = stream.partitions * stream.reservoir
    assert expected_forwarded(stream) == pytest.approx(kept * (1 + np.log(stream.samples / kept)), rel=1e-3)
    assert float(entries(10.0, 10)) == 10.0


def test_a_billion_samples_are_simulated_and_not_drawn() -> None:
    course = simulate(LARGE, np.random.default_rng(0))
    assert course.admitted[-1] == 10**9
    assert len(course.records) == 1_000
    assert course.held[-1] == LARGE.reservoir
    # The page tells of this window.
    assert (LARGE.reservoir, LARGE.sketch) == RULES[-1]
    (row,) = re.findall(r"(?m)^\| 20,000 \(default\) \|.*$", PAGE)
    forwarded, _, of_design, fates, a_sample = (float(cell) for cell in row.split("|")[3:8])
    assert course.forwarded[-1] == pytest.approx(forwarded, rel=0.01)
    assert course.forwarded[-1] / bound_of_design(LARGE) == pytest.approx(of_design, rel=0.02)
    assert course.fates[-1] == pytest.approx(fates, rel=0.01)
    assert course.records[-1] / 10**9 == pytest.approx(a_sample, rel=0.01)


def test_compaction_leaves_what_lives_and_the_tombstones_of_a_day() -> None:
    course = simulate(replace(LARGE, samples=10**7, reservoir=100, sketch=100), np.random.default_rng(0))
    quick, slow = (pool_log(course, SIZES, rate) for rate in (10**7 / TOMBSTONES_S, 10**5 / TOMBSTONES_S))
    assert quick.written[-1] == slow.written[-1]
    assert quick.tombstones[-1] == pytest.approx(
        course.sample_tombstones[-1] * SIZES.sample_tombstone + course.fate_tombstones[-1] * SIZES.fate_tombstone
    )
    # A hundred days: the last of them brings few tombstones.
    assert slow.tombstones[-1] < 0.02 * quick.tombstones[-1]
    assert (slow.compacted <= slow.written).all()
    assert slow.live[-1] == 100 * SIZES.sample + course.fates_held[-1] * SIZES.fate


def test_the_cleaner_is_the_one_that_topics_are_created_with() -> None:
    made = topics_admin._COMPACT
    assert float(made["min.cleanable.dirty.ratio"]) == DIRTY
    assert float(made["delete.retention.ms"]) / 1000 == TOMBSTONES_S


def test_memory_is_bounded_by_the_settings_and_not_by_the_stream() -> None:
    assert memory(LARGE, SIZES) == memory(replace(LARGE, samples=10**6), SIZES)
    second, first = memory(replace(LARGE, reservoir=10, sketch=5, strata=2), SIZES)
    assert (second, first) == (20 * 2_200.0 + 5 * 400.0, 20 * 400.0 + 5 * 400.0)


def test_the_disk_on_the_page_is_what_the_topics_keep() -> None:
    rows = dict(re.findall(r"(?m)^\| ([\d,]+(?: million)?) \|.*\| ([\d.]+ [GT]B) \|$", PAGE.split("## Sizing")[1]))
    units = {"GB": 1e9, "TB": 1e12}
    for name, samples in {"100,000": 1e5, "1 million": 1e6, "10 million": 1e7}.items():
        number, unit = rows[name].split()
        assert disk(samples) == pytest.approx(float(number) * units[unit], rel=0.02)


def test_the_lowest_bound_limits() -> None:
    costs = Costs(first=1e-4, second=5e-5, broker_sample=5e-5, broker_record=5e-6)
    assert list(costs.bounds(1.0, 0.1, 16.0)) == ["first level", "cores", "second level"]
    assert costs.bounds(1.0, 0.1, 16.0)["first level"] == pytest.approx(10_000)
    # All partitions with samples lie on one worker: another does not help.
    assert costs.bounds(1.0, 0.1, 16.0)["first level"] < costs.bounds(0.5, 0.1, 16.0)["first level"]
    assert next(iter(costs.bounds(0.25, 0.1, 1.0).items())) == ("cores", pytest.approx(1 / 1.555e-4))
    assert next(iter(costs.bounds(0.01, 2.0, 99.0))) == "second level"


def test_costs_are_found_again() -> None:
    costs = Costs(first=1e-4, second=5e-5, broker_sample=5e-5, broker_record=5e-6)
    cases = [
        Case(4, 1, 1.0, n, pool, 2.0, n * costs.first, pool * costs.second, n * 5e-5 + pool * 5e-6, 0.5, 0.1)
        for n, pool in ((1_000, 200), (1_000, 900), (2_000, 5_000))
    ]
    found = fitted(cases)
    for name in ("first", "second", "broker_sample", "broker_record"):
        assert getattr(found, name) == pytest.approx(getattr(costs, name))
    assert modelled(cases[0], found)[0] == "cores"
