"""Progress: rates, the time left, JSON lines and the bar on a terminal."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limoflow.observe.progress import Progress, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def states(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_tell_done_total_rate_and_time_left(clock):
    stream = io.StringIO()
    with Progress("scoring", stream=stream, clock=clock) as progress:
        progress.update(0, 1000)
        clock.now += 10
        progress.update(200, 1000, rejected=3)
    assert states(stream) == [
        {"progress": "scoring", "done": 0, "total": 1000, "per_second": None, "seconds_left": None},
        {"progress": "scoring", "done": 200, "total": 1000, "per_second": 20.0, "seconds_left": 40.0, "rejected": 3},
    ]


def test_lines_are_throttled_and_the_last_state_is_always_shown(clock):
    stream = io.StringIO()
    with Progress("x", stream=stream, clock=clock, interval_s=1.0) as progress:
        for done in range(100):
            progress.update(done)
            clock.now += 0.1
    shown = [state["done"] for state in states(stream)]
    assert len(shown) <= 12
    assert shown[-1] == 99
    assert shown == sorted(set(shown))


def test_nothing_is_shown_without_an_update(clock):
    stream = io.StringIO()
    with Progress("x", stream=stream, clock=clock):
        pass
    assert stream.getvalue() == ""


def test_an_unknown_total_has_no_time_left(clock):
    stream = io.StringIO()
    with Progress("x", stream=stream, clock=clock) as progress:
        progress.update(1)
        clock.now += 2
        progress.update(5)
    assert states(stream)[-1]["seconds_left"] is None
    assert states(stream)[-1]["per_second"] == 2.0


def test_the_rate_forgets_what_is_long_ago(clock):
    rate = Rate(clock, window_s=10)
    for done in range(0, 1000, 10):
        rate.add(done)
        clock.now += 1
    for _ in range(30):
        rate.add(990)
        clock.now += 1
    assert rate.per_second() == 0.0
    assert rate.seconds_for(10) is None


def test_a_counter_that_starts_anew_gives_no_negative_rate(clock):
    rate = Rate(clock)
    rate.add(500)
    clock.now += 1
    rate.add(0)
    clock.now += 1
    rate.add(10)
    assert rate.per_second() == pytest.approx(10.0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e6)), max_size=30), st.floats(0, 1e6))
def test_rate_and_time_left_are_never_negative(steps, remaining):
    clock = Clock()
    rate = Rate(clock, window_s=20)
    for seconds, done in steps:
        clock.now += seconds
        rate.add(done)
        speed, left = rate.per_second(), rate.seconds_for(remaining)
        assert speed is None or speed >= 0
        assert left is None or left >= 0


def test_a_terminal_shows_a_bar_with_the_time_left(clock):
    stream = io.StringIO()
    with Progress("[scoring]", stream=stream, clock=clock, terminal=True) as progress:
        progress.update(0, 1000)
        clock.now += 10
        progress.update(100, 1000, rejected=3)
    text = stream.getvalue()
    assert "[scoring]" in text
    assert "100/1000" in text
    assert "1:30 left" in text
    assert "rejected=3" in text
    assert "{" not in text


def test_long_work_is_told_in_hours(clock):
    stream = io.StringIO()
    with Progress("x", stream=stream, clock=clock, terminal=True) as progress:
        progress.update(0, 100_000)
        clock.now += 10
        progress.update(100, 100_000)
    assert "2:46:30 left" in stream.getvalue()
