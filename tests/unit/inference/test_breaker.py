"""The breaker opens after repeated failures, tries once after a while, and never forgets a release."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import BreakerOpen, DeadlineExceeded, DependencyUnavailable, ModelRequestError
from limoflow.inference import BreakerState, CircuitBreaker


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def breaker(time: Time, threshold: int = 3) -> CircuitBreaker:
    return CircuitBreaker("triton", threshold=threshold, open_seconds=5.0, clock=time, sleep=time.sleep)


async def succeed() -> str:
    return "ok"


async def fail() -> str:
    raise DependencyUnavailable("out")


async def refuse() -> str:
    raise ModelRequestError("this text")


async def outcome(guard: CircuitBreaker, function: object) -> str:
    try:
        return await guard.call(function)  # type: ignore[arg-type]
    except (DependencyUnavailable, ModelRequestError) as error:
        return type(error).__name__


@given(
    st.lists(st.sampled_from(["succeed", "fail", "refuse", "wait", "wait a little"]), max_size=40), st.integers(1, 4)
)
def test_one_at_a_time_it_behaves_like_its_definition(steps: list[str], threshold: int) -> None:
    async def play() -> None:
        time = Time()
        guard = breaker(time, threshold)
        failures, open_until = 0, None
        for step in steps:
            if step.startswith("wait"):
                time.now += 5.0 if step == "wait" else 2.0
                continue
            refused = open_until is not None and time.now < open_until
            expected = {"succeed": "ok", "fail": "DependencyUnavailable", "refuse": "ModelRequestError"}[step]
            found = await outcome(guard, {"succeed": succeed, "fail": fail, "refuse": refuse}[step])
            assert found == ("BreakerOpen" if refused else expected)
            if refused:
                continue
            if step == "fail":
                failures += 1
                if open_until is not None or failures >= threshold:
                    open_until = time.now + 5.0
            else:
                failures, open_until = 0, None
            state = BreakerState.CLOSED if open_until is None else BreakerState.OPEN
            assert guard.state is state

    asyncio.run(play())


async def test_only_one_call_tries_while_half_open() -> None:
    time = Time()
    guard = breaker(time, 1)
    assert await outcome(guard, fail) == "DependencyUnavailable"
    time.now += 5.0
    assert guard.state is BreakerState.HALF_OPEN
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "ok"

    trial = asyncio.create_task(guard.call(slow))
    await asyncio.sleep(0)
    with pytest.raises(BreakerOpen, match="triton"):
        await guard.call(succeed)
    waiting = asyncio.create_task(guard.wait_closed())
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await trial == "ok"
    await asyncio.wait_for(waiting, 5)
    assert guard.state is BreakerState.CLOSED


async def test_a_cancelled_trial_gives_its_place_back() -> None:
    time = Time()
    guard = breaker(time, 1)
    await outcome(guard, fail)
    time.now += 5.0
    trial = asyncio.create_task(guard.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert await guard.call(succeed) == "ok"


async def test_a_late_failure_of_an_older_call_does_not_prolong_the_opening() -> None:
    time = Time()
    guard = breaker(time, 1)
    gate = asyncio.Event()

    async def late() -> None:
        await gate.wait()
        raise DeadlineExceeded("late")

    older = asyncio.create_task(outcome(guard, late))
    await asyncio.sleep(0)
    await outcome(guard, fail)
    time.now += 4.0
    gate.set()
    await older
    time.now += 1.0
    assert guard.state is BreakerState.HALF_OPEN


async def test_waiting_ends_when_a_call_may_try_and_at_once_when_closed() -> None:
    time = Time()
    guard = breaker(time, 1)
    await guard.wait_closed()
    assert time.now == 100.0
    await outcome(guard, fail)
    await guard.wait_closed()
    assert time.now == 105.0
    assert await guard.call(succeed) == "ok"


@pytest.mark.parametrize(("threshold", "seconds"), [(0, 1.0), (1, 0.0)])
def test_settings_must_be_positive(threshold: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        CircuitBreaker("x", threshold=threshold, open_seconds=seconds)
