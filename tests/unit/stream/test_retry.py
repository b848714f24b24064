"""How a record is settled: waits, tries and dead letters, with a clock of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs

from limoflow.errors import BreakerOpen, DeadlineExceeded, DependencyUnavailable, InvariantBroken, PoisonError
from limoflow.stream.confluent_runner import TaskRunner
from limoflow.stream.dead_letters import read_dead_letter
from limoflow.stream.observer import SilentObserver
from limoflow.stream.outage_log import OutageLog
from limoflow.stream.retry import Outcome, RetryPolicy, settle
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.transaction import TransactionalWriter
from limoflow.stream.types import Emit, Record, Task

RECORD = Record("in", 2, 41, b"key", b"value", (("trace", b"1"),))
DONE = (Emit("out", b"key", b"value"),)
POLICY = RetryPolicy(attempts=3, backoff_s=0.1, outage_backoff_s=1.0, outage_cap_s=8.0)


class Scripted:
    """A stage whose tries end as the script says; after it, they succeed."""

    name, version, topic, broadcast = "stage", "7", "in", ()

    def __init__(self, *script: BaseException) -> None:
        self._script = list(script)
        self.tries = 0

    def observe(self, records: Sequence[Record]) -> None: ...

    async def handle(self, record: Record) -> Sequence[Emit]:
        self.tries += 1
        if self._script:
            raise self._script.pop(0)
        return DONE


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Heard(SilentObserver):
    def __init__(self) -> None:
        self.retries: list[str] = []

    def retried(self, stage: str, error_class: str) -> None:
        self.retries.append(error_class)


async def settled(*script: BaseException, outages: OutageLog | None = None) -> tuple[Outcome, Scripted, Clock]:
    stage, clock = Scripted(*script), Clock()
    return await settle(stage, RECORD, POLICY, sleep=clock.sleep, outages=outages), stage, clock


async def test_success_needs_one_try_and_no_wait() -> None:
    outcome, stage, clock = await settled()
    assert (outcome.emits, outcome.word, stage.tries, clock.slept) == (DONE, "done", 1, [])


async def test_poison_is_dead_at_once() -> None:
    outcome, stage, clock = await settled(PoisonError("no JSON"))
    assert (outcome.word, stage.tries, clock.slept) == ("dead_lettered", 1, [])
    assert isinstance(outcome.error, PoisonError)
    (emit,) = outcome.emits
    letter = read_dead_letter(Record(emit.topic, 0, 0, emit.key, emit.value, emit.headers))
    assert (emit.topic, letter.attempts, letter.stage_version, letter.offset) == ("dlq.stage", 1, "7", 41)


async def test_a_failing_handler_has_three_tries() -> None:
    outcome, stage, clock = await settled(ValueError("a"), KeyError("b"), OSError("c"))
    assert (outcome.word, stage.tries) == ("dead_lettered", 3)
    assert clock.slept == [pytest.approx(0.1), pytest.approx(0.2)]
    assert isinstance(outcome.error, OSError)


async def test_a_flaky_handler_passes_on_its_last_try() -> None:
    outcome, stage, _ = await settled(ValueError("a"), ValueError("b"))
    assert (outcome.emits, stage.tries) == (DONE, 3)


async def test_an_outage_is_waited_out_without_bound_and_with_capped_waits() -> None:
    outage: list[BaseException] = [DependencyUnavailable("out"), BreakerOpen("open"), DeadlineExceeded("late")] * 10
    outcome, stage, clock = await settled(*outage)
    assert (outcome.emits, stage.tries) == (DONE, 31)
    assert clock.slept == [1.0, 2.0, 4.0, *[8.0] * 27]


async def test_outages_do_not_count_as_failures() -> None:
    script = [ValueError("a"), *[DependencyUnavailable("out")] * 5, ValueError("b"), DependencyUnavailable("out")]
    outcome, stage, _ = await settled(*script)
    assert (outcome.emits, stage.tries) == (DONE, 9)


@pytest.mark.parametrize("before", [[], [ValueError("a")]])
async def test_a_broken_invariant_comes_through(before: list[BaseException]) -> None:
    with pytest.raises(InvariantBroken):
        await settled(*before, InvariantBroken("no"))


@pytest.mark.parametrize("before", [[], [ValueError("a")]])
async def test_a_cancellation_comes_through(before: list[BaseException]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await settled(*before, asyncio.CancelledError())


async def test_a_wait_can_be_cancelled() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(settle(Scripted(DependencyUnavailable("out")), RECORD, POLICY, sleep=sleep))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_every_retry_is_told() -> None:
    heard = Heard()
    stage = Scripted(ValueError("a"), BreakerOpen("open"))
    await settle(stage, RECORD, POLICY, sleep=Clock().sleep, observer=heard)
    assert heard.retries == ["ValueError", "BreakerOpen"]


async def test_an_outage_is_logged_with_its_text_and_not_for_each_record() -> None:
    now = [0.0]
    outages = OutageLog(lambda: now[0])
    with capture_logs() as lines:
        for now[0] in (0.0, 1.0, 59.0, 60.0, 61.0):
            await settled(*[DependencyUnavailable("http://me:planted@model is out")] * 3, outages=outages)
        await settled(DeadlineExceeded("slow"), RuntimeError("a fault, not an outage"), outages=outages)
    assert [(line["subject"], line["error_class"], line["error"]) for line in lines] == [
        ("stage", "DependencyUnavailable", "http://***@model is out"),
        ("stage", "DependencyUnavailable", "http://***@model is out"),
        ("stage", "DeadlineExceeded", "slow"),
    ]


def test_a_task_runner_logs_why_it_waits() -> None:
    class Waits(TaskRunner):
        def _step(self) -> None:
            self._stopping.set()
            raise DependencyUnavailable("the broker is out")

        def _begin_anew(self) -> None: ...

    runner = Waits(cast(Task, SimpleNamespace(name="task", inputs=())), BrokerSettings())
    runner._writer = cast(TransactionalWriter, SimpleNamespace(abort=lambda: None))
    with capture_logs() as lines:
        runner._loop()
    assert [(line["subject"], line["error"]) for line in lines] == [("task", "the broker is out")]
