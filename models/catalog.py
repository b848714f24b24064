"""Names of causal language models, and where each lives on disk.

A model served under the name ``ifd-<first 12 digits of its key>`` is the folder (or a link to one) ROOT/models/KEY.
The key of an embedded model is the hash of its data and recipe, that of any other the hash of its files: a name always
means the same weights.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from limoflow.errors import MissingDependency, UsageError

PREFIX = "ifd-"
NAME_DIGITS = 12
EMBEDDED = "embedded"
MODEL_FILES = ("*.json", "*.safetensors", "*.bin", "*.model", "*.txt")


class ModelCatalog:
    """The causal language models under one root folder.

    Parameters
    ----------
    root : Path
        Models are in `root`/models.
    from_hub : callable, optional
        Returns the local folder of a hub name; the default looks only into the local cache of huggingface_hub.
    """

    def __init__(self, root: Path, from_hub: Callable[[str], Path] | None = None) -> None:
        self._folder = root / "models"
        self._from_hub = from_hub or _cached_snapshot

    def resolve(self, model: str) -> str:
        """Return the name under which the model of a RunSpec is served, and make it known to `path`.

        Parameters
        ----------
        model : str
            "embedded:KEY", a path to the folder of a causal language model, or the hub name of one that is in the
            local cache.

        Raises
        ------
        UsageError
            If it is "embedded" without key (it has to be built first), or nothing of that name is found.
        MissingDependency
            If a hub name is not in the local cache.
        """
        kind, _, key = model.partition(":")
        if kind == EMBEDDED:
            return self._embedded(key)
        folder = Path(model) if Path(model).exists() else self._from_hub(model)
        if not (folder / "config.json").is_file():
            raise UsageError(f"model {model!r}: no config.json in {folder}; give the folder of a causal language model")
        digest = _content_hash(folder)
        self._link(digest, folder.resolve())
        return model_name(digest)

    def path(self, name: str) -> Path:
        """Return the folder of the model served as `name`.

        Raises
        ------
        UsageError
            If no model of that name is known here.
        """
        if not re.fullmatch(PREFIX + r"[0-9a-f]{12,}", name):
            raise UsageError(f"model name {name!r} is not of the form {PREFIX}<12 hexadecimal digits>")
        found = sorted(self._folder.glob(name.removeprefix(PREFIX) + "*/config.json"))
        if not found:
            raise UsageError(f"model {name!r} is not under {self._folder}: build it, or resolve its path first")
        return found[0].parent

    def models(self) -> list[tuple[str, Path]]:
        """Return the name and the folder of every model known here, ordered by name."""
        folders = sorted(path.parent for path in self._folder.glob("[0-9a-f]*/config.json"))
        return [(model_name(folder.name), folder) for folder in folders]

    def newest(self) -> str | None:
        """Return the name of the model that came last, which is the likeliest to be asked for next; None if empty."""
        found = max(self.models(), key=lambda model: (model[1].lstat().st_mtime_ns, model[0]), default=None)
        return found[0] if found else None

    def _embedded(self, key: str) -> str:
        if not key:
            raise UsageError("model 'embedded' has no key yet: build it from the run's data, then name embedded:KEY")
        name = model_name(key)
        self.path(name)
        return name

    def _link(self, digest: str, folder: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        link = self._folder / digest
        if link.is_symlink() and link.resolve() != folder:
            link.unlink()
        if not link.exists():
            link.symlink_to(folder, target_is_directory=True)


def model_name(key: str) -> str:
    """Return the name under which the model of `key` (hexadecimal, at least 12 digits) is served."""
    if not re.fullmatch(r"[0-9a-f]{12,}", key):
        raise UsageError(f"model key {key!r} is not a hexadecimal hash of at least {NAME_DIGITS} digits")
    return PREFIX + key[:NAME_DIGITS]


def _content_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)}):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _cached_snapshot(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except HFValidationError as error:
        raise UsageError(f"model {name!r} is neither a folder nor a hub name") from error
    except LocalEntryNotFoundError as error:
        raise MissingDependency(
            f"model {name!r} is neither a folder nor in the local hub cache; fetch it first: hf download {name}"
        ) from error
