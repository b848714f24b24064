"""Where a training computes: settings, refusals, and what a checkpoint of another device is worth."""

from __future__ import annotations

import json

import pytest
import torch

from limoflow.errors import UsageError
from limoflow.settings import from_environment
from schemas.run import Learning
from services.trainer.app import TrainerSettings, record_rewards, task
from services.trainer.batches import Encoded, collate
from services.trainer.child import TrainingProcess, check_device
from services.trainer.fit import fit, main
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
    nothing,
    release_record,
    run_record,
)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_the_device_is_a_setting(device, monkeypatch):
    assert TrainerSettings().device == "auto"
    monkeypatch.setenv("LIMOFLOW_TRAINER_DEVICE", device)
    assert from_environment(TrainerSettings).device == device


def test_a_device_that_nobody_knows_is_refused(monkeypatch):
    monkeypatch.setenv("LIMOFLOW_TRAINER_DEVICE", "tpu")
    with pytest.raises(UsageError, match="LIMOFLOW_TRAINER_DEVICE"):
        from_environment(TrainerSettings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU")
def test_the_service_does_not_begin_where_its_gpu_is_missing(tmp_path):
    with pytest.raises(UsageError, match=r"LIMOFLOW_TRAINER_DEVICE is cuda.*sees no GPU.*cpu or auto"):
        task(TrainerSettings(folder=tmp_path, device="cuda"), Log())
    for device in ("auto", "cpu"):
        check_device(device)


def test_the_job_carries_the_setting_to_the_process_that_trains(base, tmp_path, monkeypatch):
    seen: list[Job] = []

    def run(_, job: Job, progress) -> None:
        seen.append(Job.load(job.file))
        fit(job, progress)

    monkeypatch.setattr(TrainingProcess, "run", run)
    service = task(TrainerSettings(folder=tmp_path, threads=1, device="cpu"), Log(a_release()))
    service.observe([run_record(base)])
    assert list(service.process([release_record(a_release())]))
    texts = [("Add 1 to 2.", "The sum is 3.")]
    record_rewards(texts, base, Learning(checkpoints=2), tmp_path / "rewards", 1, nothing, device="cpu")
    assert [job.device for job in seen] == ["cpu", "cpu"]


def test_the_model_id_does_not_depend_on_the_device(base, tmp_path):
    ids = {plan(a_release(), TRAIN, base, tmp_path, 1, device).model_id for device in ("auto", "cpu", "cuda")}
    assert len(ids) == 1


def test_a_training_on_the_cpu_is_the_same_by_either_name_and_names_no_gpu(base, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    job = plan(a_release(), TRAIN, base, tmp_path / "auto", 1, "auto")
    job.save(SAMPLES)
    plain = fit(a_job(base, tmp_path / "plain"), nothing)
    assert files_of(fit(job, nothing)) == files_of(plain)
    assert "device" not in json.loads((plain / "loss.json").read_text())


def test_the_program_says_that_its_gpu_is_missing(base, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("services.trainer.fit.die_with_parent", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    job = plan(a_release(), TRAIN, base, tmp_path, 1, "cuda")
    job.save([])
    assert main(str(job.file)) == 1
    said = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert said["class"] == "UsageError"
    assert "sees no GPU" in said["error"]


def test_a_checkpoint_of_another_device_is_begun_anew(base, tmp_path):
    plain = files_of(fit(a_job(base, tmp_path / "plain"), nothing))
    job = a_job(base, tmp_path / "moved")
    with pytest.raises(Interrupted):
        fit(job, interrupted_after(5))
    state = torch.load(job.checkpoint, weights_only=True)
    assert state["device"] == "cpu"
    torch.save(state | {"device": "cuda"}, job.checkpoint)
    steps: list[int] = []
    assert files_of(fit(job, lambda step: steps.append(step.step))) == plain
    assert steps[0] == 1


def test_a_checkpoint_from_before_devices_were_recorded_is_of_the_cpu(base, tmp_path):
    job = a_job(base, tmp_path)
    with pytest.raises(Interrupted):
        fit(job, interrupted_after(5))
    state = torch.load(job.checkpoint, weights_only=True)
    del state["device"], state["random_gpu"]
    torch.save(state, job.checkpoint)
    steps: list[int] = []
    fit(job, lambda step: steps.append(step.step))
    assert steps[0] == 5


def test_a_batch_on_the_cpu_is_not_copied():
    batch = collate([Encoded([3, 4, 5], 1)], 0)
    assert batch.on(torch.device("cpu")).ids is batch.ids
