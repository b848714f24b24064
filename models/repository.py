"""The model repository that a Triton server reads: the templates of models/triton, and one folder per causal model."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from limoflow.errors import UsageError
from models.catalog import ModelCatalog
from models.device import CPU, CUDA

TEMPLATES = Path(__file__).parent / "triton"
EMBEDDER = "embedder"
LANGUAGE_MODEL = "ifd"
KINDS = {CPU: "KIND_CPU", CUDA: "KIND_GPU"}


def prepare(
    template_dir: Path,
    runtime_dir: Path,
    *,
    catalog_root: Path | None = None,
    embedder_dir: str = "",
    dtype: str = "float32",
    instances: int = 1,
    device: str = CPU,
) -> None:
    """Make `runtime_dir` a model repository that holds the embedder; models already installed there stay.

    Parameters
    ----------
    template_dir : Path
        The templates (`TEMPLATES`).
    runtime_dir : Path
        Made where it is missing.
    catalog_root : Path, optional
        Root of a `ModelCatalog` whose causal models are installed too.
    embedder_dir : str
        Folder of the embedder; empty for the packaged all-MiniLM-L6-v2.
    dtype : str
        Precision of the embedder, "float32" or "bfloat16".
    instances : int
        Processes that serve it, each on one thread.
    device : str
        Where all models compute: "cpu", or "cuda", with which the server loads none where it sees no GPU.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    _install(template_dir / EMBEDDER, runtime_dir, EMBEDDER, embedder_dir, dtype, instances, device)
    if catalog_root is not None:
        for name, folder in ModelCatalog(catalog_root).models():
            install_language_model(runtime_dir, name, folder, template_dir=template_dir, device=device)


def first_models(catalog_root: Path) -> tuple[str, ...]:
    """Return the models that a server begins with: the embedder and the newest causal model.

    Others load when they are asked for: all of them would be an interpreter with torch for every model ever built.
    """
    newest = ModelCatalog(catalog_root).newest()
    return (EMBEDDER, newest) if newest else (EMBEDDER,)


def install_language_model(
    runtime_dir: Path,
    name: str,
    model_dir: Path,
    *,
    template_dir: Path = TEMPLATES,
    dtype: str = "float32",
    instances: int = 1,
    device: str = CPU,
) -> Path:
    """Install a causal language model as `name` and return its folder; the server still has to load it.

    The folder appears whole or not at all; installing the same again changes nothing.

    Raises
    ------
    UsageError
        If `model_dir` has no config.json, `name` is not a plain name, or there is no such `device`.
    """
    if not (model_dir / "config.json").is_file():
        raise UsageError(f"model {name}: no config.json in {model_dir}; give the folder of a causal language model")
    template, folder = template_dir / LANGUAGE_MODEL, str(model_dir.resolve())
    return _install(template, runtime_dir, name, folder, dtype, instances, device)


def _install(
    template: Path, runtime_dir: Path, name: str, model_dir: str, dtype: str, instances: int, device: str
) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UsageError(f"model name {name!r}: only letters, digits, '_', '.' and '-' may stand in it")
    if instances < 1:
        raise UsageError(f"model {name}: {instances} instances; give at least 1")
    if device not in KINDS:
        raise UsageError(f"device {device!r}: models are served on one of {', '.join(KINDS)} (LIMOFLOW_MODELS_DEVICE)")
    runtime_dir.mkdir(parents=True, exist_ok=True)
    target = runtime_dir / name
    # Beside the repository, for a server takes every folder in it for a model.
    work = Path(tempfile.mkdtemp(prefix=f".{runtime_dir.name}-", dir=runtime_dir.parent))
    try:
        made = work / name
        shutil.copytree(template, made, ignore=shutil.ignore_patterns("__pycache__"))
        config = made / "config.pbtxt"
        text = _placed(config.read_text(encoding="utf-8"), instances, KINDS[device])
        config.write_text(_configured(text, name, model_dir, dtype))
        _put_in_place(made, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _placed(config: str, instances: int, kind: str) -> str:
    config = re.sub(r"count: \d+", f"count: {instances}", config, count=1)
    return re.sub(r"kind: KIND_[A-Z]+", f"kind: {kind}", config, count=1)


def _configured(config: str, name: str, model_dir: str, dtype: str) -> str:
    config = re.sub(r'(?m)^(name: )".*"', _replacing(name), config, count=1)
    for key, value in (("model_dir", model_dir), ("dtype", dtype)):
        pattern = rf'(key: "{key}" value: \{{ string_value: )".*"'
        config, found = re.subn(pattern, _replacing(value), config)
        if found != 1:
            raise UsageError(
                f"template of {name}: config.pbtxt must have the parameter {key} once, and has it {found} times"
            )
    return config


def _replacing(value: str) -> Callable[[re.Match[str]], str]:
    return lambda match: match[1] + _quoted(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _put_in_place(made: Path, target: Path) -> None:
    if target.exists() and _content(made) == _content(target):
        return
    # A folder that is in the way moves into the work folder, which is thrown away.
    if target.exists():
        target.rename(made.parent / "replaced")
    made.rename(target)


def _content(folder: Path) -> dict[str, bytes]:
    kept = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}
