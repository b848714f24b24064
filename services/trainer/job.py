"""One training as files: what to do, on which rows, and where everything lies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from limoflow.errors import TrainingError
from limoflow.release_rows import earlier_turns
from models.device import CPU
from schemas.base import canonical_json, digest
from schemas.release import Release
from schemas.run import Train
from schemas.sample import Sample

RECIPE = "lora-1"
CONFIG = "config.json"
REWARDS = "rewards.jsonl"
IDENTITY = (CONFIG, "tokenizer*", "vocab.*", "merges.txt", "*.model", "chat_template*", "*.safetensors", "*.bin")


@dataclass(frozen=True, slots=True)
class Job:
    """What the child process is told.

    Attributes
    ----------
    model_id : str
        Hash of all that the adapter depends on.
    base : str
        Folder of the base model.
    train : dict
        The settings of `schemas.run.Train`.
    folder : str
        Where the adapter will lie.
    work : str
        Hidden folder of this job: rows, checkpoint, the adapter until it is complete.
    device : str
        The setting `auto`, `cpu` or `cuda`.
    """

    model_id: str
    release_id: str
    base: str
    train: dict[str, Any]
    seed: int
    threads: int
    folder: str
    work: str
    device: str = CPU

    @property
    def settings(self) -> Train:
        """The settings of the training."""
        return Train.model_validate(self.train)

    @property
    def file(self) -> Path:
        """Where the job itself is written down."""
        return Path(self.work) / "job.json"

    @property
    def rows_file(self) -> Path:
        """One row a line."""
        return Path(self.work) / "rows.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        return Path(self.work) / "checkpoint.pt"

    def save(self, rows: Sequence[Sample]) -> None:
        """Write the job and its rows; a checkpoint that is there stays."""
        Path(self.work).mkdir(parents=True, exist_ok=True)
        lines = (orjson.dumps(_row(sample), option=orjson.OPT_APPEND_NEWLINE) for sample in rows)
        replace_file(self.rows_file, b"".join(lines))
        replace_file(self.file, canonical_json(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read a job."""
        return cls(**orjson.loads(path.read_bytes()))

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows: `id`, `content_hash`, `instruction`, `response` and, for chats, the `earlier` turns."""
        return [orjson.loads(line) for line in self.rows_file.read_bytes().splitlines()]


class Step(NamedTuple):
    """One optimiser step that was done.

    Attributes
    ----------
    step, steps : int
        Its number from 1 on, and how many there are.
    loss : float
        Nats per answer token.
    tokens : int
        Answer tokens learnt from in this step.
    """

    step: int
    steps: int
    loss: float
    tokens: int


def plan(release: Release, train: Train, base: Path, root: Path, threads: int, device: str = CPU) -> Job:
    """Return the job of a release.

    Raises
    ------
    TrainingError
        When `base` is no folder of a model.
    OSError
        When its files cannot be read.
    """
    settings = train.model_dump(mode="json")
    depends_on = [RECIPE, release.release_id, base_identity(base), settings, release.seed]
    model_id = digest(canonical_json(depends_on))[:32]
    home = root.absolute() / release.run_id
    return Job(
        model_id=model_id,
        release_id=release.release_id,
        base=str(base.absolute()),
        train=settings,
        seed=release.seed,
        threads=threads,
        folder=str(home / model_id),
        work=str(home / f".{model_id}"),
        device=device,
    )


def base_identity(base: Path) -> str:
    """Return the SHA-256 of a model folder's configuration, tokenizer and weights, file by file.

    Raises
    ------
    TrainingError
        When the folder holds no config.json.
    """
    if not (base / CONFIG).is_file():
        raise TrainingError(
            f"base model {str(base)!r} is no folder with a {CONFIG}; "
            "build or fetch the model, submit the run again or replay the dead letter"
        )
    state = hashlib.sha256()
    for path in _identifying(base):
        state.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return state.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file by one rename, synced."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _identifying(base: Path) -> Iterator[Path]:
    yield from sorted({path for pattern in IDENTITY for path in base.glob(pattern) if path.is_file()})


def _row(sample: Sample) -> dict[str, Any]:
    earlier = [{"role": turn.role, "content": turn.content} for turn in earlier_turns(sample)]
    return {
        "id": sample.id,
        "content_hash": sample.content_hash,
        "instruction": sample.instruction,
        "response": sample.response,
        "earlier": earlier,
    }
