"""The pools scored by limoflow's own scorer, kept in a folder so that another study starts from there."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.study.pools import StudyPool
from benchmarks.study.rules import MODEL_FREE, Parts
from limoflow.settings import Home
from limoflow.wiring.files import apply_layer
from schemas.run import Run, RunSpec
from services.selector.candidate import Candidate, read_candidate

# What is done with scores that are there; all else of `score` says how they are made.
USE = {"weights", "combine", "thresholds"}


def scored(pool: StudyPool, parts: Parts, folder: Path) -> list[Candidate]:
    """Return the pool's candidates in the order of its rows, scored as a rule asks, now or before."""
    text = "\n".join(_sample(pool, place) for place in range(len(pool.rows)))
    rows = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.rows.jsonl"
    if not rows.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rows.write_text(text + "\n", encoding="utf-8")
    found = _scored_file(rows, parts.get("score", {}))
    names = run_of(rows, **parts).spec.score.names()
    candidates = {it.id: it for it in (read_candidate(line, names) for line in found.read_bytes().splitlines())}
    return [candidates[sample_id(place)] for place in range(len(pool.rows))]


def _scored_file(rows: Path, score: dict[str, Any]) -> Path:
    """Return the file of the rows with the figures that `score` asks for.

    They are added to the file of what needs no language model: the embeddings are the same.
    """
    plain, found = _file_of(rows, MODEL_FREE), _file_of(rows, score)
    if not found.exists():
        below = rows
        if found != plain:
            below, score = _scored_file(rows, MODEL_FREE), {**score, "embedding": False}
        home = Home(root=rows.parent.resolve())
        for line in apply_layer("score", run_of(rows, score=score).spec, below, found, home, tell=_tell):
            _tell(line)
    return found


def _file_of(rows: Path, score: dict[str, Any]) -> Path:
    made = run_of(rows, score=score).spec.score.model_dump_json(exclude=USE)
    return rows.with_name(rows.name.replace(".rows.", f".{hashlib.sha256(made.encode()).hexdigest()[:8]}.scored."))


def run_of(rows: Path, **parts: object) -> Run:
    """Return a run over some rows with other `score` and `select` parts."""
    sources = [{"path": str(rows), "fields": {"instruction": "instruction", "response": "response"}}]
    spec = RunSpec.model_validate({"name": "study", "sources": sources, **parts})
    return Run(run_id="study", spec=spec)


def sample_id(place: int) -> str:
    """Return the id of a row. It says nothing of its kind: clean and spoilt rows alternate."""
    return hashlib.sha256(f"row {place}".encode()).hexdigest()[:32]


def _sample(pool: StudyPool, place: int) -> str:
    row = pool.rows[place]
    metadata = {
        "domain": row.domain,
        "language": row.language,
        "lineage": {"run_id": "study", "window": 0, "source_ref": f"{pool.name}#{place}"},
    }
    return json.dumps(
        {"id": sample_id(place), "instruction": row.instruction, "response": row.response, "metadata": metadata},
        ensure_ascii=False,
    )


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
