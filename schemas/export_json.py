"""Exports the contract as JSON Schemas: `<name>.v1.schema.json`, one file an event, in one form of text."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

from schemas.admission import Admission
from schemas.base import Contract
from schemas.dead_letter import DeadLetter
from schemas.evaluation import Evaluation
from schemas.export import Export
from schemas.feedback import Feedback
from schemas.model import TrainedModel
from schemas.narrowing import breaking_changes
from schemas.release import Release
from schemas.run import Run
from schemas.sample import Sample
from schemas.window import WindowEnd

MAJOR = 1
COMMITTED = Path(__file__).with_name("json")
EXAMPLES = Path(__file__).with_name("examples")
EVENTS: MappingProxyType[str, type[Contract]] = MappingProxyType(
    {
        "sample": Sample,
        "run": Run,
        "release": Release,
        "model": TrainedModel,
        "evaluation": Evaluation,
        "feedback": Feedback,
        "dead_letter": DeadLetter,
        "window_end": WindowEnd,
        "export": Export,
        "admission": Admission,
    }
)


class BreakingChange(ValueError):
    """An export would replace a committed schema by one that breaks its readers."""


def file_name(name: str) -> str:
    """Return the file name of an event's schema, such as `sample.v1.schema.json`."""
    return f"{name}.v{MAJOR}.schema.json"


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an event, with the `$id` `urn:limoflow:schema:<name>:v1`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:limoflow:schema:{name}:v{MAJOR}",
        **EVENTS[name].model_json_schema(by_alias=True, mode="validation"),
    }


def schema_text(name: str) -> str:
    """Return the text of an event's schema file: sorted keys, two spaces, a line feed at the end."""
    return json.dumps(json_schema(name), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def export(folder: Path) -> list[Path]:
    """Write every schema into `folder`, all or none.

    Returns
    -------
    list of Path
        The files whose text changed.

    Raises
    ------
    BreakingChange
        When a schema that lies there already would change in a way that breaks its readers. An event that must change
        so gets a new major version.
    """
    texts = {folder / file_name(name): schema_text(name) for name in EVENTS}
    broken = [
        f"{path.name}: {change}"
        for path, text in texts.items()
        if path.exists()
        for change in breaking_changes(json.loads(path.read_text(encoding="utf-8")), json.loads(text))
    ]
    if broken:
        raise BreakingChange(
            f"{len(broken)} breaking change(s) within major version {MAJOR}: {'; '.join(broken)}. "
            "Make the change optional, or give the event a new major version"
        )
    folder.mkdir(parents=True, exist_ok=True)
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return changed
