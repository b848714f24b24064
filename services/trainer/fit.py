"""LoRA fine-tuning of one job, in a process of its own: `python -m services.trainer.fit JOB.json`.

Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021 (arXiv:2106.09685); adapters on all linear layers as
in Dettmers et al., QLoRA, 2023 (arXiv:2305.14314). AdamW, linear warm-up and decay, gradients clipped at norm 1.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from limoflow.errors import DependencyUnavailable, LimoflowError, TrainingError
from limoflow.lifeline import die_with_parent
from models.device import CUDA, chosen_device, compute_exactly
from schemas.base import canonical_json
from schemas.run import Train
from services.trainer.batches import Batch, Encoded, batches, encode
from services.trainer.checkpoint import Progress, Trainable
from services.trainer.job import REWARDS, Job, Step, replace_file
from services.trainer.rewards import answer_rewards, reward_steps, rewards_file

WARM_UP = 0.05
MAX_NORM = 1.0
ADAPTER_CONFIG = "adapter_config.json"
LOSS_RECORD = "loss.json"
PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENOMEM}


def fit(job: Job, progress: Callable[[Step], None]) -> Path:
    """Train the adapter of a job from its last checkpoint on, and put it in its place complete.

    The same job gives the same bytes on one kind of machine, however often it was killed on the way. It computes on
    the CPU or on a GPU, as the job says; the two differ in the last digits.

    Parameters
    ----------
    job : Job
    progress : callable
        Called after each step.

    Returns
    -------
    Path
        The folder with adapter_model.safetensors, adapter_config.json, loss.json (which names the GPU, if there was
        one) and, where asked for, rewards.jsonl.

    Raises
    ------
    UsageError
        When the job asks for a GPU and torch sees none.
    TrainingError
        When the base cannot be loaded, no row is given, or the loss is not finite.
    DependencyUnavailable
        When another process works on the same job.
    OSError
        When the disk is full or refuses.
    """
    if (Path(job.folder) / LOSS_RECORD).is_file():
        return Path(job.folder)
    device = chosen_device(job.device)
    with _alone(job), _reproducible(job, device):
        tokenizer, model = _load(job, device)
        texts = job.rows()
        if not texts:
            raise TrainingError(f"release {job.release_id} has no rows to train on")
        rows = [encode(tokenizer, row, job.settings.max_length) for row in texts]
        done = _train(job, model, rows, _padding(tokenizer), progress)
        return _publish(job, model, done, texts)


def _train(job: Job, model: Any, rows: list[Encoded], padding: int, progress: Callable[[Step], None]) -> Progress:
    train = job.settings
    steps = train.epochs * math.ceil(len(rows) / train.batch_size)
    trainable = _trainable(model, train, steps)
    recorded = reward_steps(steps, train.rewards)
    done = trainable.resume(job.checkpoint)
    model.train()
    for batch in batches(rows, train.batch_size, train.epochs, job.seed, padding, skip=done.step):
        loss = _step(trainable, batch)
        done.step += 1
        done.tokens += batch.answer_tokens
        done.losses.append(loss)
        if not math.isfinite(loss):
            raise TrainingError(
                f"release {job.release_id}: the loss of step {done.step} of {steps} is {loss}; "
                f"lower train.learning_rate (it is {train.learning_rate:g})"
            )
        if done.step in recorded:
            done.rewards.append(answer_rewards(model, rows, padding, train.batch_size))
        if done.step % train.checkpoint_steps == 0 and done.step < steps:
            trainable.save(job.checkpoint, done)
        progress(Step(done.step, steps, loss, batch.answer_tokens))
    return done


def _trainable(model: Any, train: Train, steps: int) -> Trainable:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=train.learning_rate, weight_decay=0.0)
    warm_up = max(1, round(steps * WARM_UP))

    def rate(step: int) -> float:
        return min((step + 1) / warm_up, max(0.0, (steps - step) / max(1, steps - warm_up)))

    return Trainable(model, optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, rate))


def _step(trainable: Trainable, batch: Batch) -> float:
    model = trainable.model
    batch = batch.on(model.device)
    logits = model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits[:, :-1]
    targets = batch.labels[:, 1:]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(trainable.optimiser.param_groups[0]["params"], MAX_NORM)
    trainable.optimiser.step()
    trainable.schedule.step()
    trainable.optimiser.zero_grad(set_to_none=True)
    return float(loss.item())


def _load(job: Job, device: str) -> tuple[Any, Any]:
    train = job.settings
    try:
        tokenizer = AutoTokenizer.from_pretrained(job.base, local_files_only=True)
        base = AutoModelForCausalLM.from_pretrained(job.base, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TrainingError(f"base model {job.base!r} cannot be loaded as a causal LM: {error}") from error
    # peft annotates alpha as int and divides by the rank: a fraction is as good.
    shape: dict[str, Any] = {"r": train.rank, "lora_alpha": train.alpha, "lora_dropout": 0.0}
    config = LoraConfig(**shape, target_modules="all-linear", task_type="CAUSAL_LM")
    return tokenizer, get_peft_model(base, config).to(device)


def _padding(tokenizer: Any) -> int:
    chosen = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return chosen if chosen is not None else 0


def _publish(job: Job, model: Any, done: Progress, rows: list[dict[str, Any]]) -> Path:
    partial, place = Path(job.work) / "adapter", Path(job.folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial, save_embedding_layers=False)
    except SafetensorError as error:
        raise DependencyUnavailable(f"the adapter cannot be written to {partial}: {error}; make room") from error
    # peft's model card is a form to fill in, and the target modules are a set, whose order differs between processes.
    (partial / "README.md").unlink(missing_ok=True)
    config = orjson.loads((partial / ADAPTER_CONFIG).read_bytes())
    config["target_modules"] = sorted(config["target_modules"])
    replace_file(partial / ADAPTER_CONFIG, orjson.dumps(config, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
    losses = [{"step": index, "loss": loss} for index, loss in enumerate(done.losses, 1)]
    record = {"model_id": job.model_id, "release_id": job.release_id, "rows": len(rows), "steps": done.step}
    if model.device.type == CUDA:
        record["device"] = torch.cuda.get_device_name()
    replace_file(partial / LOSS_RECORD, canonical_json({**record, "tokens": done.tokens, "losses": losses}))
    if done.rewards:
        replace_file(partial / REWARDS, rewards_file(rows, done.rewards))
    for path in partial.iterdir():
        _sync(path)
    _sync(partial)
    partial.rename(place)
    _sync(place.parent)
    return place


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    with (Path(job.work) / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DependencyUnavailable(
                f"another process trains model {job.model_id} in {job.work}; it is tried again"
            ) from error
        yield


@contextmanager
def _reproducible(job: Job, device: str) -> Iterator[None]:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory that was never written, and filling it costs a seventh of the time.
    memory.fill_uninitialized_memory = False
    compute_exactly(device)
    try:
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == CUDA else []):
            torch.manual_seed(job.seed)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filled


def main(path: str) -> int:
    """Run a job; JSON lines on standard output: each `Step`, at last `{error, class}` where it failed."""
    die_with_parent()
    with _own_output() as output:
        try:
            fit(Job.load(Path(path)), lambda step: _say(output, step._asdict()))
        except LimoflowError as error:
            return _fail(output, type(error).__name__, error)
        except OSError as error:
            return _fail(output, DependencyUnavailable.__name__ if error.errno in PASSING else "", error)
    return 0


@contextmanager
def _own_output() -> Iterator[BinaryIO]:
    # What libraries print must not stand between the JSON lines.
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)
        yield output


def _fail(output: BinaryIO, kind: str, error: Exception) -> int:
    _say(output, {"error": str(error), "class": kind})
    return 1


def _say(output: BinaryIO, line: dict[str, Any]) -> None:
    output.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    output.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
