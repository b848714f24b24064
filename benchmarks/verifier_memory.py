"""Memory of the verifier with every check on: `python -m benchmarks verifier_memory`."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.contamination import BENCHMARKS
from benchmarks.figures import Figure
from benchmarks.text_checks import DATA, INSTRUCTION_SETS, samples
from limoflow.inference.fakes import FakeChat, FakeModels
from schemas.run import Run
from schemas.sample import Metadata, Reference, Sample
from services.verifier.app import layer
from services.verifier.handler import Verifier
from services.verifier.settings import VerifierSettings

ROOT = Path(__file__).resolve().parents[1]
_EACH = 120
_MEBIBYTE = 1 << 20
_NAMED: dict[str, Any] = {
    "math_question": {},
    "language": {},
    "toxicity": {},
    "judge": {},
    "mismatch": {"least_cosine": 0.01},
    "groundedness": {"context": "instruction"},
}


def measure() -> list[Figure]:
    """Return the largest resident memory of a process that does nothing else, and of its children."""
    if not DATA.exists():
        return []
    # In a process of its own: this one may hold what other benchmarks left.
    made = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=True, cwd=ROOT)
    own, children = json.loads(made.stdout.splitlines()[-1])
    return [
        Figure(
            "verifier memory: resident, all checks on, benchmarks embedded", own / _MEBIBYTE, "MiB", 500, below=True
        ),
        Figure("verifier memory: its children (math workers, sandboxes), added up", children / _MEBIBYTE, "MiB"),
    ]


async def _largest() -> tuple[int, int]:
    models, chat = FakeModels(), FakeChat(lambda _: '{"valid": true}')
    with tempfile.TemporaryDirectory() as folder:
        settings = VerifierSettings(index_folder=Path(folder))
        verifier = layer(settings, chat=lambda _: chat, models=lambda: models)
        try:
            return await _watched(verifier)
        finally:
            await verifier.close()


async def _watched(verifier: Verifier) -> tuple[int, int]:
    process, run, own, children = psutil.Process(), _run(), 0, 0
    rows = list(_rows())
    for at in range(0, len(rows), 8):
        await asyncio.gather(*(verifier.process(row, run) for row in rows[at : at + 8]))
        own = max(own, process.memory_info().rss)
        children = max(children, sum(map(_resident, process.children(recursive=True))))
    return own, children


def _resident(child: psutil.Process) -> int:
    try:
        return int(child.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _run() -> Run:
    verify = {
        "checks": _NAMED,
        "stop_at_first_failure": False,
        "chat": {"base_url": "http://127.0.0.1:9/v1", "model": "none"},
        "decontaminate": {"benchmarks": list(BENCHMARKS), "neighbours": {"least_cosine": 1.0}},
    }
    spec = {"name": "memory", "sources": [{"path": "x"}], "verify": verify}
    return Run.model_validate({"run_id": "memory", "spec": spec, "folder": str(DATA)})


def _rows() -> Iterable[Sample]:
    for name in INSTRUCTION_SETS:
        for row in samples(name)[:_EACH]:
            solved = row.response.rpartition("####")[2].strip() if name == "gsm8k" else None
            yield row.model_copy(
                update={"metadata": Metadata(domain=row.metadata.domain, reference=Reference(answer=solved))}
            )
    with gzip.open(DATA / "humaneval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in list(map(json.loads, lines))[:_EACH]:
            known = Reference(tests=[row["test"]], entry_point=row["entry_point"])
            answer = row["prompt"] + row["canonical_solution"]
            metadata = Metadata(domain="code", reference=known)
            yield Sample(id=row["task_id"], instruction=row["prompt"], response=answer, metadata=metadata)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_largest())))
