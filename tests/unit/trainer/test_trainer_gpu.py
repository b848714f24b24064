"""On a GPU: a training learns, repeats its bytes, goes on from its checkpoint, and says where it ran."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from services.trainer.app import TrainerSettings, task
from services.trainer.fit import fit
from services.trainer.job import Job, plan
from tests.unit.trainer.tiny import (
    SAMPLES,
    TRAIN,
    Interrupted,
    Log,
    a_job,
    a_release,
    files_of,
    interrupted_after,
    losses_of,
    nothing,
    release_record,
    run_record,
)

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")]

RECORDED = TRAIN.model_copy(update={"rewards": 2})


def gpu_job(base: Path, root: Path, device: str = "cuda") -> Job:
    job = plan(a_release(train=RECORDED), RECORDED, base, root, 1, device)
    job.save(SAMPLES)
    return job


def rewards_of(folder: Path) -> list[float]:
    lines = (folder / "rewards.jsonl").read_text().splitlines()
    return [reward for line in lines for reward in json.loads(line)["rewards"]]


@pytest.fixture(scope="module", autouse=True)
def settings_of_the_process() -> Iterator[None]:
    """Take back what a training on a GPU sets for its whole process, which else is a child."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(scope="module")
def on_gpu(base, tmp_path_factory) -> Path:
    return fit(gpu_job(base, tmp_path_factory.mktemp("gpu")), nothing)


def test_an_adapter_trained_on_a_gpu_is_near_that_of_the_cpu_and_loads_there(on_gpu, base, tmp_path):
    on_cpu = fit(a_job(base, tmp_path, RECORDED), nothing)
    assert losses_of(on_gpu) == pytest.approx(losses_of(on_cpu), abs=2e-2)
    assert rewards_of(on_gpu) == pytest.approx(rewards_of(on_cpu), abs=2e-2)
    assert sum(losses_of(on_gpu)[-3:]) / 3 < 0.95 * losses_of(on_gpu)[0]
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), on_gpu)


def test_the_loss_record_names_the_gpu(on_gpu):
    assert json.loads((on_gpu / "loss.json").read_text())["device"] == torch.cuda.get_device_name()


def test_auto_takes_the_gpu_and_the_same_job_gives_the_same_bytes(on_gpu, base, tmp_path):
    assert files_of(fit(gpu_job(base, tmp_path, "auto"), nothing)) == files_of(on_gpu)


def test_a_training_goes_on_from_its_checkpoint_with_the_same_bytes(on_gpu, base, tmp_path):
    job = gpu_job(base, tmp_path)
    with pytest.raises(Interrupted):
        fit(job, interrupted_after(7))
    steps: list[int] = []
    folder = fit(job, lambda step: steps.append(step.step))
    assert steps[0] == 5
    assert files_of(folder) == files_of(on_gpu)


def test_a_checkpoint_of_a_gpu_can_be_read_on_the_cpu_and_is_begun_anew_there(base, tmp_path):
    job = gpu_job(base, tmp_path / "moved")
    with pytest.raises(Interrupted):
        fit(job, interrupted_after(7))
    moved = plan(a_release(train=RECORDED), RECORDED, base, tmp_path / "moved", 1, "cpu")
    assert moved.checkpoint == job.checkpoint
    assert files_of(fit(moved, nothing)) == files_of(fit(a_job(base, tmp_path / "cpu", RECORDED), nothing))


def test_the_service_trains_on_the_gpu_in_its_child_process(base, tmp_path):
    release = a_release()
    service = task(TrainerSettings(folder=tmp_path, threads=1, device="cuda"), Log(release))
    service.observe([run_record(base)])
    assert [emit.topic for emit in service.process([release_record(release)])] == ["models"]
    (record,) = tmp_path.glob("run-1/*/loss.json")
    assert json.loads(record.read_text())["device"] == torch.cuda.get_device_name()
