"""The embedded default: a small causal language model trained from scratch on the run's own raw data.

The weights are a function of the set of texts and of the recipe: the sample is ordered by hash, the seed and the number
of threads are fixed, and the number of steps depends on the amount of data, never on the clock.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from limoflow.errors import ModelBuildError
from models.corpus import Corpus, sample_corpus

RECIPE_VERSION = 2
MANIFEST = "model.json"


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """Recipe of the embedded model; everything here is part of its key.

    Attributes
    ----------
    pairs : int
        Most pairs to learn from; of more, a uniform sample is taken.
    characters : int
        Each text is cut here before training.
    vocabulary, hidden, layers, heads, intermediate : int
        Size of the tokenizer and of the Llama architecture.
    context : int
        Longest input of the model, tokens.
    block : int
        Length of a training row, tokens.
    rows : int
        Training rows of one step.
    steps : int
        Most steps.
    epochs : int
        Most times that the data is seen; small data stops here.
    learning_rate : float
        Highest learning rate of AdamW, after warm-up and before linear decay.
    threads : int
        Threads of training; part of the recipe because sums depend on it.
    seed : int
        Seed of the weights and of the order.
    """

    pairs: int = 20_000
    characters: int = 2_000
    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    intermediate: int = 352
    context: int = 2048
    block: int = 384
    rows: int = 6
    steps: int = 400
    epochs: int = 10
    learning_rate: float = 4e-3
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """An embedded model on disk.

    Attributes
    ----------
    path : Path
        Folder with config.json, model.safetensors, tokenizer.json and model.json.
    key : str
        Hash of the texts, the recipe version and the settings, hexadecimal.
    cached : bool
        Whether it was there already.
    """

    path: Path
    key: str
    cached: bool


Progress = Callable[[int, int, float], None]


def build_embedded_model(
    texts: Iterable[tuple[str, str]],
    root: Path,
    *,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
) -> BuiltModel:
    """Train the embedded model on (instruction, response) pairs, or find it in the cache.

    Parameters
    ----------
    texts : iterable of (str, str)
        Read once; order and repeats change nothing.
    root : Path
        The model is at `root`/models/KEY.
    settings : BuildSettings, optional
        The recipe.
    progress : callable, optional
        Called after steps with (steps done, steps in all, training loss in nats per token).

    Raises
    ------
    ModelBuildError
        If no pair has any text, or the folder cannot be written.
    """
    recipe = settings or BuildSettings()
    corpus = sample_corpus(((i, r) for i, r in texts if i.strip() and r.strip()), recipe.pairs)
    if not corpus.pairs:
        raise ModelBuildError("no pair with both an instruction and a response to train the embedded model on")
    key = _key(corpus, recipe)
    target = root / "models" / key
    if (target / MANIFEST).is_file():
        return BuiltModel(target, key, cached=True)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(corpus, recipe, target, progress)
    except OSError as error:
        raise ModelBuildError(f"cannot write the embedded model to {target}: {error}") from error
    return BuiltModel(target, key, cached=False)


def _key(corpus: Corpus, recipe: BuildSettings) -> str:
    content = json.dumps([RECIPE_VERSION, corpus.digest, asdict(recipe)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _write(corpus: Corpus, recipe: BuildSettings, target: Path, progress: Progress | None) -> None:
    from models.training import train

    started = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        outcome = train(corpus, recipe, work, progress)
        manifest = {"recipe_version": RECIPE_VERSION, "settings": asdict(recipe), "data": corpus.digest}
        manifest |= {"key": target.name, "pairs": len(corpus.pairs), **asdict(outcome)}
        _dump(work / MANIFEST, manifest)
        _dump(work / "build.json", {"seconds": round(time.monotonic() - started, 3), "built_at": time.time()})
        _make_readable(work)
        _publish(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    # The server may run as another user than the builder.
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


def _publish(work: Path, target: Path) -> None:
    try:
        work.rename(target)
    except OSError:
        # Another process finished the same key first; its weights are the same bits.
        if not (target / MANIFEST).is_file():
            raise


def _dump(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
