"""The selector core from scored bytes to release records, both levels and the closing included, on one core.

Texts are worked problems made here (about 100 tokens), embeddings have 384 dimensions. Usage: selector.py [ROWS ...]
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from random import Random

import numpy as np

from benchmarks.figures import Figure, table
from limoflow.layer import sample_emit
from limoflow.memory import prepare_memory
from limoflow.stream.types import Emit, Record, TopicPartition
from schemas.run import Run
from schemas.sample import Sample
from schemas.topics import POOL, RELEASES, RUNS, SCORED, WINDOWS
from schemas.window import WindowEnd
from services.selector.merge import Merge
from services.selector.pools import PartitionPools
from services.selector.settings import SelectorSettings

ROWS = (20_000, 50_000)
BATCH = 500
NAMES = ["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivan", "Jo", "Kim", "Lea"]
THINGS = ["apples", "pens", "books", "stamps", "coins", "shells", "cards", "tiles", "beads", "plants", "tickets"]
PLACES = ["market", "school", "garden", "harbour", "station", "library", "museum", "kitchen", "office", "park"]


class Passed:
    """Every group has read everything."""

    def committed(self, *_: str) -> dict[int, int]:
        """Return a position past the end."""
        return {0: 1}

    def ends(self, *_: str) -> dict[int, int]:
        """Return an end."""
        return {0: 1}

    def starts(self, *_: str) -> dict[int, int]:
        """Return the start."""
        return {0: 0}


def text_of(random: Random) -> tuple[str, str]:
    sentences = [
        f"{random.choice(NAMES)} takes {random.randrange(99)} {random.choice(THINGS)} to the {random.choice(PLACES)}."
        for _ in range(5)
    ]
    steps = [
        f"{random.choice(NAMES)} had {a}*{b} = <<{a}*{b}={a * b}>>{a * b} {random.choice(THINGS)}."
        for a, b in ((random.randrange(99), random.randrange(99)) for _ in range(3))
    ]
    return " ".join(sentences) + " How many are there?", "\n".join(steps)


def records(rows: int, seed: int = 0) -> list[Record]:
    random, numbers = Random(seed), np.random.default_rng(seed)
    made = []
    for row in range(rows):
        instruction, response = text_of(random)
        vector = numbers.standard_normal(384) + 1.0
        vector /= np.linalg.norm(vector)
        scores = numbers.random(5).tolist()
        metadata = {
            "domain": "mathematics",
            "difficulty": random.choice(["easy", "medium", "hard"]),
            "evaluations": {
                "instruction_complexity": scores[0],
                "response_quality": scores[1],
                "reasoning_depth": scores[2],
            },
            "advanced_assessment": {
                "ifd_score": scores[3],
                "answer_match": scores[4],
                "embedding": {
                    "model": "e",
                    "dimensions": 384,
                    "data": base64.b64encode(vector.astype("<f2").tobytes()).decode(),
                },
            },
            "lineage": {"run_id": "bench", "window": 0, "source_ref": f"f:{row}", "versions": {"scorer": "1"}},
        }
        sample = Sample.model_validate(
            {"id": f"{row:032x}", "instruction": instruction, "response": response, "metadata": metadata}
        )
        emit = sample_emit(SCORED, sample, "scorer")
        made.append(Record(SCORED, row % 4, row // 4, emit.key, emit.value, emit.headers))
    return made


def batches(items: list[Record]) -> Iterator[list[Record]]:
    return (items[i : i + BATCH] for i in range(0, len(items), BATCH))


def as_records(emits: list[Emit]) -> list[Record]:
    return [
        Record(it.topic, it.partition or 0, i, it.key, it.value, it.headers)
        for i, it in enumerate(emits)
        if it.topic == POOL
    ]


def measure(rows: int = 20_000) -> list[Figure]:
    """Send rows through both levels, close the window, and return the rates of the parts and of the whole.

    Every row stays in the pool (the reservoirs are larger), which is the dearest case: both levels see all of them, and
    the closing works on all of them, once per window.
    """
    prepare_memory()
    spec = {"name": "bench", "sources": [{"path": "x"}], "select": {"target": 500}}
    run = Run.model_validate({"run_id": "bench", "spec": spec})
    announced = Record(RUNS, 0, 0, b"", run.to_bytes())
    settings = SelectorSettings()
    first, second = PartitionPools(settings), Merge(settings, Passed())
    first.assigned([TopicPartition(SCORED, i) for i in range(4)])
    second.assigned([TopicPartition(POOL, i) for i in range(4)])
    first.observe([announced])
    second.observe([announced])
    scored = records(rows)

    times = [time.perf_counter()]
    forwarded = [record for batch in batches(scored) for record in as_records(list(first.process(batch)))]
    times.append(time.perf_counter())
    for batch in batches(forwarded):
        list(second.process(batch))
    times.append(time.perf_counter())
    end = WindowEnd(run_id="bench", window=0, rows=rows, end_offsets={"0": 1}, last=True)
    second.observe([Record(WINDOWS, 0, 0, b"", end.to_bytes())])
    emits: list[Emit] = []
    while not any(it.topic == RELEASES for it in emits[-1:]):
        emits += second.tick()
    times.append(time.perf_counter())
    first_level, second_level, closing = np.diff(times)
    return [
        Figure("selector core: samples in, both levels", rows / (first_level + second_level), "samples/s", 20_000),
        Figure("selector: in, closed and written out", rows / (times[-1] - times[0]), "samples/s"),
        Figure("selector: first level", rows / first_level, "samples/s"),
        Figure("selector: second level", rows / second_level, "samples/s"),
        Figure("selector: closing", rows / closing, "samples/s"),
    ]


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
