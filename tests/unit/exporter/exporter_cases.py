from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from limoflow.stream.types import Record
from schemas.headers import RELEASE
from schemas.release import ChosenRow, Release
from schemas.run import RunSpec
from schemas.sample import Sample
from schemas.topics import FINALIZED, RELEASES

SECRET_OF_THE_TEST = "embedding-bytes-that-must-not-leave"


class Log:
    """A log in memory; remembers from when it was read."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.records = list(records)
        self.reads: list[int | None] = []

    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:
        self.reads.append(since_ms)
        for record in list(self.records):
            if record.topic in topics and (since_ms is None or record.timestamp_ms >= since_ms):
                yield record


def a_sample(index: int, **metadata: Any) -> Sample:
    return Sample.model_validate(
        {
            "id": f"id-{index:03d}",
            "instruction": f"What is {index} + {index}? | 多少",
            "response": f"{index} + {index} = {2 * index}\n#### {2 * index}",
            "unknown_field": "kept",
            "metadata": {
                "domain": "mathematics" if index % 2 else "code",
                "difficulty": "easy",
                "language": "en",
                "licence": "Apache-2.0",
                "source": "sums.jsonl",
                "verification": {
                    "verified": True,
                    "method": "rules",
                    "results": {"sums": {"verdict": "pass", "seconds": index / 7, "version": "1"}},
                },
                "evaluations": {"response_quality": 0.5},
                "advanced_assessment": {
                    "ifd_score": 0.25,
                    "embedding": {"model": "m", "dimensions": 2, "data": SECRET_OF_THE_TEST},
                },
                "lineage": {"run_id": "run-1", "window": 3, "source_ref": f"sums.jsonl#{index}"},
                **metadata,
            },
        }
    )


def a_release(samples: Sequence[Sample], **fields: Any) -> Release:
    formats = fields.pop("formats", None)
    spec = RunSpec.model_validate(
        {"name": "sums", "sources": [{"path": "*.jsonl"}], "export": {"formats": formats} if formats else {}}
    )
    rows = [
        ChosenRow(
            id=sample.id,
            content_hash=sample.content_hash,
            source_ref=f"sums.jsonl#{rank}",
            stratum=f"{sample.metadata.domain}/easy",
            rank=rank,
            score=1 - rank / 100,
            diversity_contribution=0.5,
        )
        for rank, sample in enumerate(samples)
    ]
    content = {
        "run_id": "run-1",
        "name": "sums",
        "window": 3,
        "last": True,
        "seed": 5,
        "spec_sha256": spec.sha256(),
        "spec": spec.canonical(),
        "models": {"ifd": "tiny@1"},
        "versions": {"verifier": "7"},
        "target": len(rows) + 2,
        "shortfall": 2,
        "quotas": {"code/easy": 2},
        "funnel": {"scored": 40, "finalized": len(rows), "rejected": {"verifier/wrong_sum": 31}},
        "rows": rows,
    }
    return Release.sealed(**(content | fields))


def row_record(sample: Sample, release: Release, offset: int = 0, timestamp_ms: int = 1_000_000) -> Record:
    headers = ((RELEASE, release.release_id.encode()),)
    return Record(FINALIZED, 0, offset, sample.id.encode(), sample.to_bytes(), headers, timestamp_ms)


def release_record(release: Release, timestamp_ms: int = 1_000_000) -> Record:
    return Record(RELEASES, 0, 0, b"run-1|3", release.to_bytes(), (), timestamp_ms)


def log_of(release: Release, samples: Sequence[Sample]) -> Log:
    return Log([row_record(sample, release, index) for index, sample in enumerate(reversed(samples))])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


SAMPLES = [a_sample(index) for index in range(7)]
