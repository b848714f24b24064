"""A tiny random Llama with a byte-level tokenizer, rows to learn, and a log in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from limoflow.stream.types import Record
from schemas.headers import RELEASE
from schemas.release import ChosenRow, Release
from schemas.run import Run, RunSpec, Train
from schemas.sample import Sample
from schemas.topics import FINALIZED, RELEASES, RUNS
from services.trainer.job import Job, Step, plan

SPECIAL = ["<pad>", "<bos>", "<eos>"]


def build_base(folder: Path, *, seed: int = 1, hidden: int = 64) -> Path:
    """Write a random Llama of two layers and a tokenizer trained on our own sentences."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator([text for row in SAMPLES for text in (row.instruction, row.response)], trainer)
    pad, bos, eos = SPECIAL
    PreTrainedTokenizerFast(tokenizer_object=raw, pad_token=pad, bos_token=bos, eos_token=eos).save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=raw.get_vocab_size(),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


class Interrupted(Exception):
    """Stands for whatever ends a training in the middle."""


def nothing(_: object) -> None:
    pass


def interrupted_after(steps: int) -> Callable[[Step], None]:
    """Return what ends a training after so many steps."""

    def end(step: Step) -> None:
        if step.step == steps:
            raise Interrupted

    return end


def a_sample(index: int) -> Sample:
    return Sample.model_validate(
        {
            "id": f"id-{index:03d}",
            "instruction": f"Add {index} to {index + 3} and tell the sum.",
            "response": f"The sum of {index} and {index + 3} is {2 * index + 3}.",
            "metadata": {"lineage": {"run_id": "run-1", "window": 0, "source_ref": f"sums#{index}"}},
        }
    )


SAMPLES = [a_sample(index) for index in range(24)]
TRAIN = Train(epochs=2, batch_size=4, checkpoint_steps=4, max_length=96, learning_rate=5e-3)


def a_release(samples: Sequence[Sample] = SAMPLES, train: Train | None = TRAIN, **fields: Any) -> Release:
    spec = RunSpec.model_validate({"name": "sums", "sources": [{"path": "*"}], "train": train})
    rows = [
        ChosenRow(
            id=sample.id,
            content_hash=sample.content_hash,
            source_ref=sample.id,
            stratum="all",
            rank=rank,
            score=0.5,
            diversity_contribution=0.5,
        )
        for rank, sample in enumerate(samples)
    ]
    content = {
        "run_id": "run-1",
        "name": "sums",
        "window": 0,
        "last": True,
        "seed": 3,
        "spec_sha256": spec.sha256(),
        "spec": spec.canonical(),
        "target": 24,
        "shortfall": 0,
        "rows": rows,
    }
    return Release.sealed(**(content | fields))


def a_job(base: Path, root: Path, train: Train = TRAIN, samples: Sequence[Sample] = SAMPLES) -> Job:
    job = plan(a_release(samples, train), train, base, root, 1)
    job.save(samples)
    return job


class Log:
    """A log in memory with the rows of releases."""

    def __init__(self, *releases: Release, samples: Sequence[Sample] = SAMPLES) -> None:
        self.records = [
            Record(FINALIZED, 0, 0, row.id.encode(), row.to_bytes(), ((RELEASE, release.release_id.encode()),), 1000)
            for release in releases
            for row in samples
        ]

    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:
        yield from (record for record in self.records if record.topic in topics)


def release_record(release: Release) -> Record:
    return Record(RELEASES, 0, 0, b"run-1|0", release.to_bytes(), (), 1000)


def run_record(base: Path | None, run_id: str = "run-1") -> Record:
    spec = RunSpec.model_validate({"name": "sums", "sources": [{"path": "*"}], "train": TRAIN})
    run = Run(run_id=run_id, spec=spec, models={} if base is None else {"base": str(base)})
    return Record(RUNS, 0, 0, run_id.encode(), run.to_bytes())


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def losses_of(folder: Path) -> list[float]:
    return [point["loss"] for point in json.loads((folder / "loss.json").read_text())["losses"]]
