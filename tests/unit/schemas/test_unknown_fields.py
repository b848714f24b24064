"""Unknown fields survive reading and writing, wherever they are and whatever they hold (G7)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import Sample
from schemas.export_json import EVENTS, EXAMPLES

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SAMPLE = json.loads((EXAMPLES / "sample.v1.json").read_text(encoding="utf-8"))
FREE = {("metadata", "verification", "results"), ("metadata", "lineage", "versions")}
FREE |= {("metadata", "filtering", "score_parts")}


def objects(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of every JSON object in a document."""
    if isinstance(value, dict):
        inner = [found for key, part in value.items() for found in objects(part, (*path, key))]
        return [path, *inner]
    if isinstance(value, list):
        return [found for index, part in enumerate(value) for found in objects(part, (*path, index))]
    return []


LEVELS = [path for path in objects(SAMPLE) if path not in FREE]
KNOWN = {str(key) for path in objects(SAMPLE) for key in path} | set(SAMPLE) | {"schema_", "metadata"}
# Names that are attributes of the models are the likeliest to be lost.
AWKWARD = [
    "content_hash",
    "lineage",
    "to_bytes",
    "extended",
    "copy",
    "json",
    "model_config",
    "model_fields",
    "__dict__",
]
names = (st.text(min_size=1, max_size=12) | st.sampled_from(AWKWARD)).map(
    lambda name: f"x{name}" if name in KNOWN else name
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def inside(document: Any, path: tuple[str | int, ...]) -> dict[str, Any]:
    for key in path:
        document = document[key]
    return document


def read_and_written(document: dict[str, Any]) -> dict[str, Any]:
    return json.loads(Sample.model_validate_json(json.dumps(document)).to_bytes())


def test_the_example_reaches_every_level():
    assert len(LEVELS) >= 14


@RELAXED
@given(st.dictionaries(st.sampled_from(LEVELS), st.dictionaries(names, values, min_size=1, max_size=3), max_size=6))
def test_unknown_fields_of_a_sample_survive_at_every_level(additions):
    document = copy.deepcopy(SAMPLE)
    for path, fields in additions.items():
        target = inside(document, path)
        target.update({name: value for name, value in fields.items() if name not in target})
    assert read_and_written(document) == document


@pytest.mark.parametrize("path", LEVELS, ids=lambda path: "/".join(map(str, path)) or "top")
def test_an_unknown_null_survives(path):
    document = copy.deepcopy(SAMPLE)
    inside(document, path)["new_in_a_later_version"] = None
    assert read_and_written(document) == document


@RELAXED
@given(st.sets(st.sampled_from([("messages",), ("metadata",), *(("metadata", key) for key in SAMPLE["metadata"])])))
def test_what_was_left_out_stays_out_and_explicit_nulls_stay(absent):
    document = copy.deepcopy(SAMPLE)
    for path in sorted(absent, key=len, reverse=True):
        del inside(document, path[:-1])[path[-1]]
    assert read_and_written(document) == document


def test_gaining_a_part_keeps_what_is_unknown():
    document = copy.deepcopy(SAMPLE)
    document["later"] = {"a": None}
    document["metadata"]["later"] = [1, None]
    document["metadata"]["lineage"]["later"] = None
    sample = Sample.model_validate(document)
    written = json.loads(sample.extended(difficulty="hard").to_bytes())
    document["metadata"]["difficulty"] = "hard"
    assert written == document


@pytest.mark.parametrize("name", EVENTS)
def test_unknown_fields_of_every_event_survive(name):
    document = json.loads((EXAMPLES / f"{name}.v1.json").read_text(encoding="utf-8"))
    document["later"] = {"deep": [None, {"x": 1}]}
    written = json.loads(EVENTS[name].model_validate_json(json.dumps(document)).to_bytes())
    assert written["later"] == document["later"]
