"""Formats of Parquet: one table of flat columns, and the folder that `datasets.load_dataset` reads."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.base import canonical_json
from schemas.release import ChosenRow
from schemas.sample import AdvancedAssessment, Evaluations, Lineage, Sample
from services.exporter.card import HUB_TABLE, dataset_card
from services.exporter.folder import HashedFile, Target
from services.exporter.rows import ReleaseData, conversation, portable

TEXT, NUMBER, COUNT = pa.large_string(), pa.float64(), pa.int64()
MESSAGE = pa.struct([("role", pa.string()), ("content", TEXT)])
COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("instruction", TEXT),
        ("response", TEXT),
        ("messages", pa.list_(MESSAGE)),
        ("domain", pa.string()),
        ("difficulty", pa.string()),
        ("language", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("verified", pa.bool_()),
        ("instruction_complexity", NUMBER),
        ("response_quality", NUMBER),
        ("reasoning_depth", NUMBER),
        ("safety_score", NUMBER),
        ("ifd_score", NUMBER),
        ("learning_potential", NUMBER),
        ("answer_match", NUMBER),
        ("stratum", pa.string()),
        ("rank", COUNT),
        ("score", NUMBER),
        ("diversity_contribution", NUMBER),
        ("run_id", pa.string()),
        ("window", COUNT),
        ("source_ref", pa.string()),
        ("parent", pa.string()),
        ("metadata", TEXT),
    ]
)
ROW_GROUP = 8192


def parquet(data: ReleaseData, target: Target) -> None:
    """Write `samples.parquet`: flat columns, and the full metadata as canonical JSON in the column `metadata`."""
    with target.open("samples.parquet") as file:
        _write(data, file)


def huggingface(data: ReleaseData, target: Target) -> None:
    """Write `huggingface/`: one Parquet shard and a dataset card, loadable with `datasets.load_dataset`."""
    with target.open(HUB_TABLE) as file:
        _write(data, file)
    with target.open("huggingface/README.md") as file:
        file.write(dataset_card(data, data_files="data/train-*.parquet").encode())


def _write(data: ReleaseData, file: HashedFile) -> None:
    rows = [_flat(sample, chosen) for sample, chosen in zip(data.rows, data.release.rows, strict=True)]
    table = pa.Table.from_pylist(rows, schema=COLUMNS)
    # Every setting that shapes the bytes is named: a default may change with the library.
    pq.write_table(
        table,
        file,
        row_group_size=ROW_GROUP,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=True,
        data_page_size=1 << 20,
        data_page_version="1.0",
        write_statistics=True,
    )


def _flat(sample: Sample, chosen: ChosenRow) -> dict[str, Any]:
    metadata = sample.metadata
    lineage = metadata.lineage or Lineage(run_id="", window=0, source_ref=chosen.source_ref)
    scores = (metadata.evaluations or Evaluations()).model_dump()
    assessment = (metadata.advanced_assessment or AdvancedAssessment()).model_dump()
    row = {
        "id": sample.id,
        "instruction": sample.instruction,
        "response": sample.response,
        "messages": conversation(sample),
        "verified": metadata.verification.verified if metadata.verification else None,
    }
    row |= {name: getattr(metadata, name) for name in ("domain", "difficulty", "language", "source", "licence")}
    row |= {name: value for name, value in (scores | assessment).items() if name in COLUMNS.names}
    row |= {name: getattr(chosen, name) for name in ("stratum", "rank", "score", "diversity_contribution")}
    row |= {name: getattr(lineage, name) for name in ("run_id", "window", "source_ref", "parent")}
    row["metadata"] = canonical_json(portable(sample).get("metadata", {})).decode()
    return row
