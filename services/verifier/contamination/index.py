"""The index of benchmark items: built once, named by its content, memory-mapped and shared by all workers."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.verifier.contamination.items import Item, read_items
from services.verifier.texts.grams import Grams, Keys, cjk_counts, is_cjk, token_keys, tokens

FORMAT = "1"
WORDS, CHARACTERS = 13, 20
SHORTEST_PART = 8
COMMON = 10
_SHORTEST_WHOLE = 4


@dataclass(frozen=True, slots=True)
class Match:
    """Where a text meets a benchmark: `exact`, `grams` or `short_item`, the item's place, and the matching grams."""

    kind: str
    place: str
    grams: int


@dataclass(frozen=True, slots=True)
class _Table:
    """Sorted keys and the item of each, memory-mapped."""

    keys: Keys
    items: NDArray[np.uint32]

    def find(self, wanted: Keys) -> NDArray[np.uint32]:
        """Return the items of those wanted keys that are there."""
        if not len(wanted) or not len(self.keys):
            return np.empty(0, dtype=np.uint32)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.asarray(self.items[at[self.keys[at] == wanted]], dtype=np.uint32)


class Index:
    """Exact questions, runs of 13 words or 20 CJK characters, and short questions wherever they stand in a text."""

    def __init__(self, folder: Path) -> None:
        self._places: list[str] = json.loads((folder / "places.json").read_text(encoding="utf-8"))
        self._lengths: list[int] = json.loads((folder / "lengths.json").read_text(encoding="utf-8"))
        self._exact, self._grams, self._short = (_load(folder, name) for name in ("exact", "grams", "short"))

    def __len__(self) -> int:
        return len(self._places)

    def match(self, text: str, least: int = 1) -> Match | None:
        """Return how a text meets a benchmark, None where it does not.

        Parameters
        ----------
        least : int
            Matching grams, at least, for `grams`.
        """
        lines = [tokens(line) for line in text.split("\n")]
        words = list(chain.from_iterable(lines))
        if len(words) < _SHORTEST_WHOLE:
            return None
        grams = Grams(token_keys(words))
        found = self._exact.find(np.array([grams.whole], dtype=np.uint64))
        if len(found):
            return Match("exact", self._places[found[0]], 0)
        found = self._grams.find(_long_grams(words, grams))
        if len(found) >= least:
            return Match("grams", self._places[int(np.bincount(found).argmax())], len(found))
        short = [grams.of(length) for length in self._lengths]
        found = self._short.find(np.concatenate(short)) if short else found[:0]
        if len(found):
            return Match("short_item", self._places[found[0]], 0)
        return self._line(lines)

    def _line(self, lines: list[list[str]]) -> Match | None:
        wholes = [Grams(token_keys(words)).whole for words in lines if len(words) >= SHORTEST_PART - 3]
        if len(lines) < 2 or not wholes:
            return None
        found = self._exact.find(np.array(wholes, dtype=np.uint64))
        return Match("exact", self._places[found[0]], 0) if len(found) else None


def open_index(files: Sequence[Path], cache: Path) -> Index:
    """Return the index of benchmark files; the first caller of any process builds it, the others wait for it.

    Raises
    ------
    UsageError
        When a file cannot be read or holds no question.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / content_name(files)
    if not folder.exists():
        with (cache / "building.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                _build(files, folder)
    return Index(folder)


def content_name(files: Sequence[Path]) -> str:
    """Return a name for what benchmark files hold, under the form of the index."""
    total = hashlib.blake2b(f"{FORMAT}|{WORDS}|{CHARACTERS}|{SHORTEST_PART}|{COMMON}".encode(), digest_size=16)
    for path in files:
        with path.open("rb") as stream:
            total.update(path.name.encode() + hashlib.file_digest(stream, "blake2b").digest())
    return total.hexdigest()


def _build(files: Sequence[Path], folder: Path) -> None:
    places: list[str] = []
    made = _Growing(), _Growing(), _Growing()
    for path in files:
        for item in read_items(path):
            _enter(item, len(places), made)
            places.append(item.place)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name, part in zip(("exact", "grams", "short"), made, strict=True):
            keys, items = part.sorted(None if name == "exact" else COMMON)
            np.save(unfinished / f"{name}.keys.npy", keys)
            np.save(unfinished / f"{name}.items.npy", items)
        (unfinished / "places.json").write_text(json.dumps(places), encoding="utf-8")
        (unfinished / "lengths.json").write_text(json.dumps(sorted(made[2].lengths)), encoding="utf-8")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


class _Growing:
    """Keys with their items, while the index is built."""

    def __init__(self) -> None:
        self._keys: list[Keys] = []
        self._items: list[NDArray[np.uint32]] = []
        self.lengths: set[int] = set()

    def add(self, keys: Keys, item: int) -> None:
        once = np.unique(keys)
        self._keys.append(once)
        self._items.append(np.full(len(once), item, dtype=np.uint32))

    def sorted(self, common: int | None) -> tuple[Keys, NDArray[np.uint32]]:
        """Return each key once, with its first item; keys of more than `common` items are left out as templates."""
        if not self._keys:
            return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32)
        keys, items = np.concatenate(self._keys), np.concatenate(self._items)
        once, first, counts = np.unique(keys, return_index=True, return_counts=True)
        kept = counts <= common if common is not None else np.ones(len(once), dtype=bool)
        return once[kept], items[first[kept]]


def _enter(item: Item, number: int, made: tuple[_Growing, _Growing, _Growing]) -> None:
    exact, grams, short = made
    for text in (*item.asked, *item.answered):
        words = tokens(text)
        runs = Grams(token_keys(words))
        grams.add(_long_grams(words, runs), number)
        if text not in item.asked or len(words) < _SHORTEST_WHOLE:
            continue
        exact.add(np.array([runs.whole], dtype=np.uint64), number)
        if _is_short(words):
            short.add(runs.of(len(words)), number)
            short.lengths.add(len(words))


def _long_grams(words: Sequence[str], runs: Grams) -> Keys:
    """Return runs of 13 tokens without CJK, and runs of 20 that are CJK for the most part."""
    if not any(map(is_cjk, words)):
        return runs.of(WORDS)
    plain: Keys = runs.of(WORDS)[cjk_counts(words, WORDS) == 0]
    mostly = cjk_counts(words, CHARACTERS) * 2 > CHARACTERS
    return np.concatenate((plain, runs.of(CHARACTERS)[mostly]))


def _is_short(words: Sequence[str]) -> bool:
    """Tell whether an item is too short for a long gram and long enough to be recognised inside another text."""
    chinese = sum(map(is_cjk, words)) * 2 > len(words)
    return SHORTEST_PART + 4 * chinese <= len(words) < (CHARACTERS if chinese else WORDS)


def _load(folder: Path, name: str) -> _Table:
    return _Table(
        np.load(folder / f"{name}.keys.npy", mmap_mode="r"), np.load(folder / f"{name}.items.npy", mmap_mode="r")
    )
