"""Every way to make one score of several, and every recipe: one release, however the samples came (G3)."""

from __future__ import annotations

import base64
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limoflow.layer import sample_emit
from limoflow.spec_file import RECIPES, load_spec
from limoflow.stream.types import Emit, Record, TopicPartition
from schemas.release import Release
from schemas.run import Run, RunSpec
from schemas.sample import Sample
from schemas.topics import POOL, RELEASES, RUNS, SCORED, WINDOWS
from schemas.window import WindowEnd
from services.selector.merge import Merge
from services.selector.pools import PartitionPools
from services.selector.ranking import METHODS
from services.selector.settings import SelectorSettings

WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "golf", "hotel", "india"]
ROWS = 24
WEIGHTS = {"quality": 2.0, "depth": 1.0, "answer_match": 1.0}
COMBINATIONS = [
    {"combine": method, "weights": WEIGHTS, "thresholds": thresholds}
    for method in METHODS
    for thresholds in ({}, {"quality": {"least": 0.3, "below": 0.9}, "chain": {"most": 0.8}})
]


class Passed:
    """Every group has read everything."""

    def committed(self, *_: str) -> dict[int, int]:
        return {0: 1}

    def ends(self, *_: str) -> dict[int, int]:
        return {0: 1}

    def starts(self, *_: str) -> dict[int, int]:
        return {0: 0}


def scored(number: int) -> Record:
    """A sample with scores of few values, so that ties are common; some are missing, one is out of range."""
    random = np.random.default_rng(number)

    def score() -> float | None:
        return None if random.random() < 0.1 else float(random.integers(0, 6)) / 5

    text = " ".join(random.choice(WORDS, 6))
    vector = random.standard_normal(4).astype("<f2")
    metadata = {
        "domain": "d" if number % 3 else "e",
        "difficulty": "easy",
        "evaluations": {
            "response_quality": score(),
            "instruction_complexity": score(),
            "reasoning_depth": score(),
            "chain": 7.0 if number == 5 else score(),
        },
        "advanced_assessment": {
            "ifd_score": score(),
            "learning_potential": score(),
            "answer_match": float(random.integers(-3, 10)) / 10,
            "embedding": {"model": "e", "dimensions": 4, "data": base64.b64encode(vector.tobytes()).decode()},
        },
        "lineage": {"run_id": "r", "window": 0, "source_ref": f"f:{number}"},
    }
    fields = {"id": f"{number:03d}", "instruction": f"Say {text}", "response": f"{text} {number}", "metadata": metadata}
    return as_record(sample_emit(SCORED, Sample.model_validate(fields), "scorer"))


def as_record(emit: Emit, offset: int = 0) -> Record:
    return Record(emit.topic, emit.partition or 0, offset, emit.key, emit.value, emit.headers)


def released(spec: RunSpec, arrivals: list[list[Record]], random: Random) -> bytes:
    """Return the manifest after the arrivals of each partition; the merging level crashes half-way."""
    told = Record(RUNS, 0, 0, b"r", Run(run_id="r", spec=spec).to_bytes())
    end = WindowEnd(run_id="r", window=0, rows=ROWS, end_offsets={"0": 1}, last=True)
    forwarded: list[Record] = []
    for partition, records in enumerate(arrivals):
        level = PartitionPools(SelectorSettings())
        level.observe([told])
        level.assigned([TopicPartition(SCORED, partition)])
        forwarded += [as_record(it, n) for n, it in enumerate(level.process(records)) if it.topic == POOL]
    random.shuffle(forwarded)
    half = len(forwarded) // 2
    crashed, merge = (Merge(SelectorSettings(), Passed(), clock=iter(range(10**6)).__next__) for _ in range(2))
    for task in (crashed, merge):
        task.assigned([TopicPartition(POOL, partition) for partition in range(4)])
        task.observe([told])
    written = [as_record(it) for it in crashed.process(forwarded[:half]) if it.topic == POOL]
    merge.restore([*forwarded[:half], *written])
    list(merge.process(forwarded[half // 2 :]))
    merge.observe([Record(WINDOWS, 0, 0, b"r|0", end.to_bytes())])
    emits = [it for _ in range(3) for it in merge.tick()]
    (release,) = [Release.model_validate_json(it.value or b"") for it in emits if it.topic == RELEASES]
    return release.manifest()


def specs() -> list[object]:
    plain = {"name": "x", "sources": [{"path": "x"}], "select": {"target": 6, "minimum_match": 0.1, "reservoir": 9}}
    made = [
        pytest.param(
            RunSpec.model_validate(plain | {"score": score}), id=f"{score['combine']}-{len(score['thresholds'])}"
        )
        for score in COMBINATIONS
    ]
    return made + [pytest.param(path, id=path.stem) for path in sorted(RECIPES.glob("*.yaml"))]


@pytest.mark.parametrize("spec", specs())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 16), st.randoms(use_true_random=False))
def test_order_repeats_partitions_and_a_crash_change_nothing(
    spec: RunSpec | Path, tmp_path: Path, partitions: int, random: Random
) -> None:
    if isinstance(spec, Path):
        (tmp_path / "run.yaml").write_text("name: x\nsources: [{path: x}]\nselect: {target: 6, reservoir: 9}\n")
        spec = load_spec(tmp_path / "run.yaml", [f"recipe={spec.stem}"])
    records = [scored(number) for number in range(ROWS)]
    expected = released(spec, [records], Random(0))
    assert b'"rows":[{' in expected
    arrivals: list[list[Record]] = [[] for _ in range(partitions)]
    for record in [*records, *random.choices(records, k=8)]:
        arrivals[random.randrange(partitions)].append(record)
    for part in arrivals:
        random.shuffle(part)
    assert released(spec, arrivals, random) == expected
