"""Samples made of public data with known truth; empty where the data is absent, or on CI."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

from schemas.sample import Metadata, Reference, Sample

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _is_there(name: str) -> bool:
    return os.environ.get("CI") != "true" and (DATA / name).exists()


def _sample(identity: str, instruction: str, response: str, domain: str, **reference: Any) -> Sample:
    metadata = Metadata(domain=domain, reference=Reference.model_validate(reference))
    return Sample(id=identity, instruction=instruction, response=response, metadata=metadata)


def humaneval() -> list[Sample]:
    """Return the 164 problems with their own solutions, as completions of the prompt."""
    if not _is_there("humaneval/HumanEval.jsonl.gz"):
        return []
    with gzip.open(DATA / "humaneval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [
        _sample(row["task_id"], row["prompt"], row["canonical_solution"], "code", tests=[row["test"]],
                entry_point=row["entry_point"])
        for row in rows
    ]  # fmt: skip


def mbpp() -> list[Sample]:
    """Return the 974 problems with their own solutions; setup code is the first test."""
    if not _is_there("mbpp/mbpp.jsonl"):
        return []
    rows = [json.loads(line) for line in (DATA / "mbpp" / "mbpp.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        _sample(f"mbpp/{row['task_id']}", row["text"], row["code"], "code",
                tests=[t for t in (row["test_setup_code"], *row["test_list"], *row["challenge_test_list"]) if t])
        for row in rows
    ]  # fmt: skip


def spider() -> list[Sample]:
    """Return the distinct dev queries, each its own reference, on the schema of its database."""
    if not _is_there("spider/dev.json"):
        return []
    read = {
        name: json.loads((DATA / "spider" / f"{name}.json").read_text(encoding="utf-8")) for name in ("dev", "tables")
    }
    schemas = {each["db_id"]: _schema(each) for each in read["tables"]}
    distinct = {(each["db_id"], each["query"]): each["question"] for each in read["dev"]}
    return [
        _sample(f"spider/{number}", question, query, "sql", schema=schemas[database], answer=query)
        for number, ((database, query), question) in enumerate(distinct.items())
    ]


def _schema(database: dict[str, Any]) -> str:
    columns, kinds = database["column_names_original"], database["column_types"]
    lines = []
    for number, table in enumerate(database["table_names_original"]):
        if table == "sqlite_sequence":  # SQLite's own
            continue
        parts = [f'"{name}" {kind}' for (owner, name), kind in zip(columns, kinds, strict=True) if owner == number]
        keys = [columns[each][1] for each in database["primary_keys"] if columns[each][0] == number]
        if keys:
            parts.append("PRIMARY KEY (" + ", ".join(f'"{each}"' for each in keys) + ")")
        for one, two in database["foreign_keys"]:
            if columns[one][0] == number:
                other = database["table_names_original"][columns[two][0]]
                parts.append(f'FOREIGN KEY ("{columns[one][1]}") REFERENCES "{other}" ("{columns[two][1]}")')
        lines.append(f'CREATE TABLE "{table}" ({", ".join(parts)});')
    return "\n".join(lines)
