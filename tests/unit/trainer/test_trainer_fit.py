from __future__ import annotations

import fcntl
import json
import math
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from limoflow.errors import DependencyUnavailable, TrainingError
from schemas.run import Train
from services.trainer.fit import fit, main
from services.trainer.job import Job, base_identity, plan
from tests.unit.trainer.tiny import (
    SAMPLES,
    TRAIN,
    Interrupted,
    a_job,
    a_release,
    build_base,
    files_of,
    interrupted_after,
    losses_of,
    nothing,
)


@pytest.fixture(scope="module")
def undisturbed(base, tmp_path_factory) -> Path:
    return fit(a_job(base, tmp_path_factory.mktemp("undisturbed")), nothing)


def test_an_adapter_is_complete_loads_and_has_learnt(undisturbed, base):
    assert set(files_of(undisturbed)) == {"adapter_config.json", "adapter_model.safetensors", "loss.json"}
    losses = losses_of(undisturbed)
    assert len(losses) == 12
    assert sum(losses[-3:]) / 3 < 0.95 * losses[0]
    plain = AutoModelForCausalLM.from_pretrained(base)
    ids = torch.arange(3, 19).view(1, -1)
    before = plain(ids).logits
    after = PeftModel.from_pretrained(plain, undisturbed)(ids).logits
    assert not torch.equal(before, after)


def test_the_loss_record_tells_rows_steps_and_tokens(undisturbed):
    record = json.loads((undisturbed / "loss.json").read_text())
    assert (record["rows"], record["steps"], len(record["losses"])) == (24, 12, 12)
    assert record["tokens"] > 2 * 24 * 5


def test_the_same_job_gives_the_same_bytes(undisturbed, base, tmp_path):
    assert files_of(fit(a_job(base, tmp_path), nothing)) == files_of(undisturbed)


def test_another_seed_gives_another_adapter(undisturbed, base, tmp_path):
    job = plan(a_release(seed=4), TRAIN, base, tmp_path, 1)
    job.save(SAMPLES)
    assert losses_of(fit(job, nothing)) != losses_of(undisturbed)


@pytest.mark.parametrize("last", [1, 4, 7, 12])
def test_a_training_that_is_interrupted_goes_on_and_ends_with_the_same_bytes(undisturbed, base, tmp_path, last):
    job = a_job(base, tmp_path)
    with pytest.raises(Interrupted):
        fit(job, interrupted_after(last))
    assert not Path(job.folder).exists()
    steps: list[int] = []
    folder = fit(job, lambda step: steps.append(step.step))
    assert steps == list(range(4 * min(last // 4, 2) + 1, 13))
    assert files_of(folder) == files_of(undisturbed)


def test_a_checkpoint_that_cannot_be_read_is_begun_anew(undisturbed, base, tmp_path):
    job = a_job(base, tmp_path)
    with pytest.raises(Interrupted):
        fit(job, interrupted_after(5))
    job.checkpoint.write_bytes(job.checkpoint.read_bytes()[:1000])
    steps: list[int] = []
    assert files_of(fit(job, lambda step: steps.append(step.step))) == files_of(undisturbed)
    assert steps[0] == 1


def test_a_complete_adapter_is_kept(base, tmp_path):
    job = a_job(base, tmp_path)
    folder = fit(job, nothing)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    fit(job, interrupted_after(1))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_two_processes_do_not_work_on_one_job(base, tmp_path):
    job = a_job(base, tmp_path)
    with (Path(job.work) / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DependencyUnavailable, match=job.model_id):
            fit(job, nothing)


def test_a_loss_that_is_not_finite_is_refused_with_release_and_step(base, tmp_path):
    train = TRAIN.model_copy(update={"learning_rate": 1e12})
    job = a_job(base, tmp_path, train)
    with pytest.raises(TrainingError, match=rf"{job.release_id}: the loss of step \d+ of 12 is .*learning_rate"):
        fit(job, nothing)


def test_only_answer_tokens_are_learnt_from(base, tmp_path):
    seen = []
    fit(a_job(base, tmp_path, Train(batch_size=24, max_length=512)), seen.append)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    answers = sum(len(tokenizer.encode(s.response, add_special_tokens=False)) + 1 for s in SAMPLES)
    assert [step.tokens for step in seen] == [answers]
    assert math.isclose(seen[0].loss, math.log(400), rel_tol=0.1)


def test_the_model_id_depends_on_release_base_and_settings_only(base, tmp_path):
    release = a_release()
    job = plan(release, TRAIN, base, tmp_path, 1)
    assert plan(release, TRAIN, base, tmp_path / "elsewhere", 2).model_id == job.model_id
    others = [
        plan(a_release(seed=4), TRAIN, base, tmp_path, 1),
        plan(release, TRAIN.model_copy(update={"rank": 4}), base, tmp_path, 1),
        plan(release, TRAIN, build_base(tmp_path / "other", seed=2), tmp_path, 1),
    ]
    assert len({job.model_id, *(other.model_id for other in others)}) == 4


def test_a_base_is_known_by_its_content_not_its_place_or_time(base, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, content in files_of(base).items():
        (copy / name).write_bytes(content)
    (copy / "build.json").write_text('{"built_at": 1}')
    assert base_identity(copy) == base_identity(base)
    with pytest.raises(TrainingError, match=r"config\.json"):
        base_identity(tmp_path)


def broken_base(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def said_by_main(job: Job, capfd) -> tuple[int, dict[str, object]]:
    code = main(str(job.file))
    return code, json.loads(capfd.readouterr().out.splitlines()[-1])


def test_the_program_says_what_is_wrong_with_the_base(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("services.trainer.fit.die_with_parent", lambda: None)
    code, said = said_by_main(a_job(broken_base(tmp_path / "base"), tmp_path), capfd)
    assert (code, said["class"]) == (1, "TrainingError")
    assert "cannot be loaded as a causal LM" in str(said["error"])


@pytest.mark.parametrize("seam", ["services.trainer.checkpoint.replace_file", "services.trainer.fit.replace_file"])
def test_the_program_says_that_a_full_disk_passes(base, tmp_path, capfd, monkeypatch, seam):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.trainer.fit.die_with_parent", lambda: None)
    monkeypatch.setattr(seam, refuse)
    job = a_job(base, tmp_path)
    code, said = said_by_main(job, capfd)
    assert (code, said["class"]) == (1, "DependencyUnavailable")
    assert "No space left" in str(said["error"])
    assert not Path(job.folder).exists()
