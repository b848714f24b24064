"""The compatibility gate (G7): the models in code against the committed JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from schemas.export_json import EVENTS, MAJOR, file_name, schema_text
from schemas.narrowing import breaking_changes

__all__ = ["breaking_changes", "check"]


def check(folder: Path) -> list[str]:
    """Return what is wrong between the code and the schemas in `folder`; empty where nothing is.

    A problem is a breaking change within the major version, a missing, unreadable or stale file, or a schema whose
    event is gone from the code.
    """
    problems = [problem for name in EVENTS for problem in _problems(name, folder / file_name(name))]
    known = {file_name(name) for name in EVENTS}
    gone = sorted(path.name for path in folder.glob(f"*.v{MAJOR}.schema.json") if path.name not in known)
    return problems + [f"{name}: its event is gone from the code; readers of it would break" for name in gone]


def _problems(name: str, path: Path) -> Iterator[str]:
    if not path.exists():
        yield f"{path.name}: missing; write it with `limoflow schema export`"
        return
    text = path.read_text(encoding="utf-8")
    try:
        committed = json.loads(text)
    except ValueError as error:
        yield f"{path.name}: not JSON ({error}); take the committed file back"
        return
    broken = breaking_changes(committed, json.loads(schema_text(name)))
    yield from (f"{path.name}: breaking change: {change}" for change in broken)
    if not broken and text != schema_text(name):
        yield f"{path.name}: stale; write it anew with `limoflow schema export` and commit it"
