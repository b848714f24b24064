"""Whatever is killed while samples flow: the audit passes, and the manifest is that of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import psutil
import pytest

from examples.demo_lake.lake import build_lake
from tests.support.stack import REPOSITORY, Stack, running_stack, until

SEEDS = [int(seed) for seed in os.environ.get("LIMOFLOW_CHAOS_SEEDS", "1").split(",")]
ROWS = int(os.environ.get("LIMOFLOW_CHAOS_ROWS", "1500"))
RUN = ("run", str(REPOSITORY / "examples" / "demo.yaml"), "select.target=150", "train.max_length=128")
SERVICES = ("ingestor", "generator", "verifier", "scorer", "selector", "exporter", "trainer")
VICTIMS = (*SERVICES, "triton", "triton stub", "kafka")
HANG_GUARD_S = 900.0

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.triton]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("chaos")
    build_lake(place / "lake", ROWS)
    return place


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> bytes:
    with running_stack(folder / "calm", folder) as stack:
        assert "audit passed" in stack.command(*RUN)
        return stack.manifest("demo")


@pytest.mark.timeout(HANG_GUARD_S * 2)
@pytest.mark.parametrize("seed", SEEDS)
def test_killing_anything_loses_nothing_and_changes_nothing(folder: Path, undisturbed: bytes, seed: int) -> None:
    with running_stack(folder / f"storm-{seed}", folder, models_of=folder / "calm") as stack:
        run = stack.start(*RUN)
        try:
            _storm(stack, random.Random(seed))
            output, _ = run.communicate(timeout=HANG_GUARD_S)
        finally:
            run.kill()
        assert run.returncode == 0, output[-6000:]
        assert "audit passed" in output
        assert stack.manifest("demo") == undisturbed
        assert stack.process("kafka").restarts >= 1


def _storm(stack: Stack, chance: random.Random) -> None:
    until(lambda: _flowing(stack), 300.0, "the first samples")
    order = [*VICTIMS, "scale up", "scale down"]
    chance.shuffle(order)
    if order.index("scale up") > order.index("scale down"):
        up, down = order.index("scale up"), order.index("scale down")
        order[up], order[down] = order[down], order[up]
    for victim in order:
        if victim.startswith("scale"):
            stack.command("scale", "verifier", "3" if victim == "scale up" else "1")
        elif victim == "triton stub":
            _kill_stub(stack, chance)
        else:
            _kill(stack, victim)


def _flowing(stack: Stack) -> bool:
    return " handled        0" not in stack.command("status").split("generator", 1)[-1].splitlines()[0]


def _kill(stack: Stack, service: str) -> None:
    victim = stack.process(service)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)

    def replaced() -> bool:
        now = stack.process(service)
        return now.restarts > victim.restarts and now.phase == "ready"

    until(replaced, 120.0, f"another {service}")


def _kill_stub(stack: Stack, chance: random.Random) -> None:
    server = psutil.Process(stack.process("triton").pid)
    stubs = [child for child in server.children(recursive=True) if "stub" in child.name()]
    chance.choice(sorted(stubs, key=lambda stub: stub.pid)).kill()
