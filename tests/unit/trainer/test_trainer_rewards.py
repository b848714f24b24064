"""What every row earned on the way: right values, the same bytes after a crash, a function of the set of texts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.run import Learning
from services.scorer.learning import read_rewards
from services.trainer.batches import encode
from services.trainer.child import TrainingProcess
from services.trainer.fit import fit
from services.trainer.record import record_rewards
from services.trainer.rewards import reward_steps
from services.trainer.task import trained_model
from tests.unit.trainer.tiny import SAMPLES, TRAIN, a_job, a_release, files_of

RECORDED = TRAIN.model_copy(update={"rewards": 3})
PAIRS = [(sample.instruction, sample.response) for sample in SAMPLES[:6]]


def nothing(_: object) -> None:
    pass


def slow_reward(model, tokenizer, row: dict[str, object]) -> float:
    encoded = encode(tokenizer, row, RECORDED.max_length)
    with torch.inference_mode():
        logs = torch.log_softmax(model(torch.tensor([encoded.ids])).logits[0].double(), dim=1)
    losses = [-float(logs[at - 1, encoded.ids[at]]) for at in range(encoded.prompt, len(encoded.ids))]
    return math.exp(-sum(losses) / len(losses))


@pytest.fixture(scope="module")
def recorded(base, tmp_path_factory) -> Path:
    return fit(a_job(base, tmp_path_factory.mktemp("recorded"), RECORDED), nothing)


def test_the_last_rewards_are_those_of_the_finished_adapter(recorded, base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), recorded).eval()
    lines = [json.loads(line) for line in (recorded / "rewards.jsonl").read_text().splitlines()]
    assert [line["content_hash"] for line in lines] == [sample.content_hash for sample in SAMPLES]
    for line, sample in zip(lines, SAMPLES, strict=True):
        row = {"instruction": sample.instruction, "response": sample.response, "earlier": []}
        assert line["rewards"][-1] == pytest.approx(slow_reward(model, tokenizer, row), abs=2e-6)
        assert len(line["rewards"]) == 3
    means = [sum(line["rewards"][k] for line in lines) for k in range(3)]
    assert means[0] < means[1] < means[2]


def test_rewards_change_nothing_of_the_adapter_and_survive_an_interruption(recorded, base, tmp_path):
    plain = files_of(fit(a_job(base, tmp_path / "plain"), nothing))
    assert plain["adapter_model.safetensors"] == files_of(recorded)["adapter_model.safetensors"]
    job = a_job(base, tmp_path / "again", RECORDED)

    def until(step) -> None:
        if step.step == 7:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(job, until)
    assert files_of(fit(job, nothing)) == files_of(recorded)
    assert "rewards.jsonl" in trained_model(job, a_release(train=RECORDED)).files


def test_rewards_are_recorded_evenly_and_at_the_end():
    assert sorted(reward_steps(12, 3)) == [4, 8, 12]
    assert sorted(reward_steps(2, 5)) == [1, 2]
    assert reward_steps(10, 0) == frozenset()


def test_records_are_a_function_of_the_set_of_texts(base, tmp_path, monkeypatch):
    seen: list[int] = []
    # The same training without the seconds that its process takes to start.
    monkeypatch.setattr(TrainingProcess, "run", lambda _, job, progress: fit(job, progress))

    def record(pairs):
        return record_rewards(pairs, base, Learning(checkpoints=2), tmp_path, 1, lambda step: seen.append(step.step))

    first = record(PAIRS)
    assert seen == [1, 2]
    assert record([*reversed(PAIRS), PAIRS[0], ("no answer", " ")]) == first
    assert seen == [1, 2]
    assert set(read_rewards(first)) == {sample.content_hash for sample in SAMPLES[:6]}
