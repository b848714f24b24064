"""A training for its records alone: no release, no adapter to use, only what every text earned on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from models.device import CPU
from schemas.base import canonical_json, digest
from schemas.identity import content_hash
from schemas.run import Learning, Train
from schemas.sample import Sample
from services.trainer.child import TrainingProcess, check_device
from services.trainer.job import RECIPE, REWARDS, Job, Step, base_identity


def record_rewards(
    pairs: Iterable[tuple[str, str]],
    base: Path,
    wanted: Learning,
    root: Path,
    threads: int,
    progress: Callable[[Step], None],
    device: str = CPU,
) -> Path:
    """Train `base` on (instruction, response) pairs and return the file with the rewards of each distinct pair.

    The training is a function of the set of pairs; one that was made before is found again.

    Raises
    ------
    UsageError
        When `device` is `cuda` and there is no GPU.
    TrainingError
        When there is nothing to train on, or the training fails.
    DependencyUnavailable
        When another process makes the same records just now.
    """
    texts = sorted({(content_hash(*pair), *pair) for pair in pairs if all(part.strip() for part in pair)})
    train = Train(epochs=wanted.checkpoints, rewards=wanted.checkpoints).model_dump(mode="json")
    model_id = digest(canonical_json([RECIPE, "rewards", base_identity(base), train, [key for key, *_ in texts]]))[:32]
    home = root.absolute()
    job = Job(
        model_id=model_id,
        release_id=f"rewards-{model_id[:12]}",
        base=str(base.absolute()),
        train=train,
        seed=0,
        threads=threads,
        folder=str(home / model_id),
        work=str(home / f".{model_id}"),
        device=device,
    )
    if not (Path(job.folder) / REWARDS).is_file():
        job.save([Sample(id=key, instruction=instruction, response=response) for key, instruction, response in texts])
        check_device(device)
        TrainingProcess().run(job, progress)
    return Path(job.folder) / REWARDS
