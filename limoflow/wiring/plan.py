"""From a RunSpec to a Run: check what can be checked, build the models that the spec names, fix its id."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from limoflow.errors import RunSpecError
from limoflow.settings import Home, ServiceSettings, from_environment
from limoflow.stream.types import Emit, LogReader
from schemas.base import canonical_json, digest
from schemas.headers import event_headers
from schemas.release import Release
from schemas.run import Run, RunSpec
from schemas.topics import RUNS

Tell = Callable[[str], None]
Texts = Callable[[], Iterable[tuple[str, str]]]
DEVICE = "device"


def preflight(spec: RunSpec, folder: Path) -> list[str]:
    """Return what is wrong with a spec beyond its form: missing sources, unknown formats, checks or strategies."""
    from services.exporter.app import check_formats
    from services.generator.strategies import check_strategies
    from services.ingestor.preflight import check_sources, check_tenant
    from services.selector.app import check_selection
    from services.verifier.checks import check_problems

    return [
        *check_tenant(spec, from_environment(ServiceSettings).tenants),
        *check_sources(spec, folder),
        *check_strategies(spec),
        *check_problems(spec, folder),
        *check_selection(spec, folder),
        *check_formats(spec.export.formats),
    ]


def plan_run(spec: RunSpec, folder: Path, home: Home, *, tell: Tell, nonce: str = "", local: bool = False) -> Run:
    """Check a spec, build or find its models, and return the run.

    The same spec on the same models has the same run id, so submitting it twice is submitting it once; a `nonce`
    makes another run of it. A run whose models are served on a GPU is another one than that of the CPU; in this process
    (`local`) they always compute on the CPU.

    Raises
    ------
    RunSpecError
        When the spec names something that is not there.
    ModelBuildError
        When the embedded model cannot be trained.
    """
    problems = preflight(spec, folder)
    if problems:
        raise RunSpecError("\n".join(problems))
    from services.selector.app import mixed_spec
    from services.verifier.checks import check_notes

    for note in check_notes(spec):
        tell(note)

    spec = mixed_spec(spec, folder)
    models = plan_models(spec, folder, home, tell) | ({} if local else _served_on())
    identity = {"spec": spec.canonical(), "folder": str(folder), "models": models, "nonce": nonce}
    run_id = f"{spec.name}-{digest(canonical_json(identity))[:10]}"
    return Run(run_id=run_id, spec=spec, folder=str(folder), models=models)


def _served_on() -> dict[str, str]:
    from models.device import CPU

    device = from_environment(ServiceSettings).models_device
    return {} if device == CPU else {DEVICE: device}


def plan_checks(spec: RunSpec, folder: Path, tell: Tell) -> None:
    """Refuse a spec that names checks, settings or benchmarks that cannot be; tell of what does nothing.

    Raises
    ------
    RunSpecError
    """
    from services.verifier.checks import check_notes, check_problems

    problems = check_problems(spec, folder)
    if problems:
        raise RunSpecError("\n".join(problems))
    for note in check_notes(spec):
        tell(note)


def plan_selection(spec: RunSpec, folder: Path) -> RunSpec:
    """Return the spec with the domain shares that it takes from a file.

    Raises
    ------
    RunSpecError
        When what it says of the selection does not hold.
    """
    from services.selector.app import check_selection, mixed_spec

    problems = check_selection(spec, folder)
    if problems:
        raise RunSpecError("\n".join(problems))
    return mixed_spec(spec, folder)


def run_emit(run: Run) -> Emit:
    """Return the record that announces a run."""
    return Emit(RUNS, run.run_id.encode(), run.to_bytes(), event_headers("run.v1", run.run_id, "cli", runid=run.run_id))


def build_embedded(spec: RunSpec, folder: Path, home: Home, tell: Tell, texts: Texts | None = None) -> Path:
    """Train the embedded causal LM on the rows of a spec's sources, or find it in the cache.

    Where the sources hold none, it learns from `texts`.
    """
    # Read when torch is loaded: waiting threads that spin starve a busy machine of the cores they wait for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from models.build import build_embedded_model

    tell("reading the sources for the embedded model")

    def progress(done: int, total: int, loss: float) -> None:
        if done == total or done % 50 == 0:
            tell(f"training the embedded model: step {done} of {total}, loss {loss:.2f} nats per token")

    pairs: Iterable[tuple[str, str]] = source_texts(spec, folder)
    first = next(iter(pairs), None)
    pairs = chain([first], pairs) if first is not None else (texts or (lambda: ()))()
    built = build_embedded_model(pairs, home.root, progress=progress)
    tell(f"embedded model {built.key[:12]} {'found in the cache' if built.cached else 'built'}")
    return built.path


def source_texts(spec: RunSpec, folder: Path) -> Iterator[tuple[str, str]]:
    """Return (instruction, response) of the rows of a spec's sources."""
    from services.ingestor.texts import iter_texts

    return iter_texts(spec, folder)


def install_rewards(spec: RunSpec, folder: Path, home: Home, tell: Tell, texts: Texts) -> str | None:
    """Return the name of the records that the learning potential is computed from; None where none is asked for.

    The records that the spec names are checked and copied to where the scorer looks; where it names none, a training on
    `texts` makes them.

    Raises
    ------
    UsageError
        When the file holds no records.
    TrainingError
        When the training fails.
    """
    wanted = spec.score.learning
    if wanted is None:
        return None
    from services.scorer.app import read_rewards

    path = folder / wanted.rewards if wanted.rewards is not None else _trained_rewards(spec, folder, home, tell, texts)
    records = read_rewards(path)
    name = digest(path.read_bytes())[:16]
    tell(f"rewards {name}: {len(records)} texts")
    home.rewards.mkdir(parents=True, exist_ok=True)
    unfinished = home.rewards / f".{name}.{os.getpid()}"
    shutil.copyfile(path, unfinished)
    unfinished.replace(home.rewards / f"{name}.jsonl")
    return name


def _trained_rewards(spec: RunSpec, folder: Path, home: Home, tell: Tell, texts: Texts) -> Path:
    from models.catalog import ModelCatalog
    from services.trainer.app import Step, TrainerSettings, record_rewards

    assert spec.score.learning is not None  # noqa: S101 - for the type checker: the caller looked
    base = spec.score.learning.base
    catalog = ModelCatalog(home.root)
    if base == "embedded":
        base = f"embedded:{build_embedded(spec, folder, home, tell, texts).name}"

    def progress(step: Step) -> None:
        if step.step == step.steps or step.step % 50 == 0:
            tell(f"recording rewards: step {step.step} of {step.steps}, loss {step.loss:.2f} nats per token")

    place, settings = catalog.path(catalog.resolve(_from(folder, base))), from_environment(TrainerSettings)
    wanted = spec.score.learning
    return record_rewards(texts(), place, wanted, home.rewards, settings.threads, progress, settings.device)


def write_release(release: Release, reader: LogReader, folder: Path, formats: Sequence[str]) -> Path:
    """Write a release to another folder, in other formats if they are named."""
    from services.exporter.app import write_release as write

    return write(release, reader, folder, list(formats))


def plan_models(spec: RunSpec, folder: Path, home: Home, tell: Tell, texts: Texts | None = None) -> dict[str, str]:
    """Return what the names of a spec stand for: models, the embedded one built where it is named, and indexes.

    `texts` are the (instruction, response) pairs that are scored; those of the sources by default.
    """
    from models.catalog import ModelCatalog
    from models.repository import install_language_model
    from services.scorer.app import REWARDS_ROLE

    catalog = ModelCatalog(home.root)
    named = {
        **({"ifd": spec.score.ifd.model} if spec.score.ifd is not None else {}),
        **_scorers(spec),
        **({"base": spec.train.base} if spec.train is not None else {}),
    }
    if "embedded" in named.values():
        key = build_embedded(spec, folder, home, tell, texts).name
        named = {role: f"embedded:{key}" if model == "embedded" else model for role, model in named.items()}
    resolved = {role: catalog.resolve(_from(folder, model)) for role, model in named.items()}
    device = from_environment(ServiceSettings).models_device
    for name in sorted({name for role, name in resolved.items() if role != "base"}):
        install_language_model(home.triton_repository, name, catalog.path(name), device=device)
    rewards = install_rewards(spec, folder, home, tell, texts or partial(source_texts, spec, folder))
    return resolved | plan_indexes(spec, folder) | ({} if rewards is None else {REWARDS_ROLE: rewards})


def plan_indexes(spec: RunSpec, folder: Path) -> dict[str, str]:
    """Return the version of the novelty index that a spec names."""
    from services.selector.app import NOVELTY, pinned_version

    index = pinned_version(spec, folder)
    return {} if index is None else {NOVELTY: index}


def _scorers(spec: RunSpec) -> dict[str, str]:
    wanted = spec.score.deita
    named = {} if wanted is None else {"deita_complexity": wanted.complexity, "deita_quality": wanted.quality}
    return {role: model for role, model in named.items() if model is not None}


def _from(folder: Path, model: str) -> str:
    beside = folder / model
    return str(beside) if beside.exists() else model
