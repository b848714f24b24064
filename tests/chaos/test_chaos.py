"""Whatever is killed while samples flow: the audit passes, and the manifest is that of an undisturbed run."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from examples.demo_lake.lake import build_lake
from tests.support.faults import VICTIMS, kill
from tests.support.small_model import small_model
from tests.support.stack import REPOSITORY, Stack, running_stack, until

SEEDS = [int(seed) for seed in os.environ.get("LIMOFLOW_CHAOS_SEEDS", "1").split(",")]
ROWS = int(os.environ.get("LIMOFLOW_CHAOS_ROWS", "1500"))
HANG_GUARD_S = 900.0

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.triton]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("chaos")
    build_lake(place / "lake", ROWS)
    return place


@pytest.fixture(scope="module")
def run_command(folder: Path) -> tuple[str, ...]:
    model = small_model(folder)
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
        else:
            kill(stack, victim, chance)


def _flowing(stack: Stack) -> bool:
    return " handled        0" not in stack.command("status").split("generator", 1)[-1].splitlines()[0]
