"""Whatever is killed while samples flow: the audit passes, and the manifest is that of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import psutil
import pytest

from examples.demo_lake.lake import build_lake
from models.build import BuildSettings, build_embedded_model
from tests.support.stack import REPOSITORY, Stack, running_stack, until

SEEDS = [int(seed) for seed in os.environ.get("LIMOFLOW_CHAOS_SEEDS", "1").split(",")]
ROWS = int(os.environ.get("LIMOFLOW_CHAOS_ROWS", "1500"))
MODEL = BuildSettings(steps=60)  # a run of the full recipe would be a minute longer, and shows no more of this
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
def run_command(folder: Path) -> tuple[str, ...]:
    texts = ((f"How much is {a} and {b}?", f"{a} and {b} is {a + b}.") for a in range(40) for b in range(40))
    model = build_embedded_model(texts, folder, settings=MODEL).path
    settings = ("select.target=100", "train.max_length=128", f"train.base={model}", f"score.ifd.model={model}")
    return ("run", str(REPOSITORY / "examples" / "demo.yaml"), *settings)


@pytest.fixture(scope="module")
def undisturbed(folder: Path, run_command: tuple[str, ...]) -> bytes:
    with running_stack(folder / "calm", folder) as stack:
        assert "audit passed" in stack.command(*run_command)
        return stack.manifest("demo")


@pytest.mark.timeout(HANG_GUARD_S * 2)
@pytest.mark.parametrize("seed", SEEDS)
def test_killing_anything_loses_nothing_and_changes_nothing(
    folder: Path, run_command: tuple[str, ...], undisturbed: bytes, seed: int
) -> None:
    with running_stack(folder / f"storm-{seed}", folder) as stack:
        run = stack.start(*run_command)
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
