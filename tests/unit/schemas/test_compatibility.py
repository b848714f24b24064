"""The compatibility gate refuses what breaks a reader, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from schemas.compatibility import breaking_changes
from schemas.export_json import EVENTS, json_schema

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCHEMAS = {name: json_schema(name) for name in EVENTS}


def object_nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, list):
        return [found for index, part in enumerate(value) for found in object_nodes(part, (*path, index))]
    if not isinstance(value, dict):
        return []
    here = [path] if isinstance(value.get("properties"), dict) else []
    return here + [found for key, part in value.items() for found in object_nodes(part, (*path, key))]


def node(schema: Any, path: tuple[Any, ...]) -> dict[str, Any]:
    for key in path:
        schema = schema[key]
    return schema


# Every (event, object, field) of the contract.
FIELDS = [
    (name, path, field)
    for name, schema in SCHEMAS.items()
    for path in object_nodes(schema)
    for field in node(schema, path)["properties"]
]
OBJECTS = sorted({(name, path) for name, path, _ in FIELDS}, key=str)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_compatible_with_itself(name):
    assert breaking_changes(SCHEMAS[name], copy.deepcopy(SCHEMAS[name])) == []


@RELAXED
@given(st.sampled_from(FIELDS))
def test_removing_any_field_is_refused(chosen):
    name, path, field = chosen
    changed = copy.deepcopy(SCHEMAS[name])
    del node(changed, path)["properties"][field]
    assert any(f".{field}: removed" in line for line in breaking_changes(SCHEMAS[name], changed))


@RELAXED
@given(st.sampled_from(FIELDS))
def test_a_field_that_turns_required_or_optional_is_refused(chosen):
    name, path, field = chosen
    changed = copy.deepcopy(SCHEMAS[name])
    required = node(changed, path).setdefault("required", [])
    was_required = field in required
    required.remove(field) if was_required else required.append(field)
    word = "no longer required" if was_required else "newly required"
    assert any(f".{field}: {word}" in line for line in breaking_changes(SCHEMAS[name], changed))


@RELAXED
@given(st.sampled_from(OBJECTS), st.sampled_from(["string", "integer", "object"]))
def test_a_new_required_field_is_refused_and_a_new_optional_one_is_not(chosen, kind):
    name, path = chosen
    changed = copy.deepcopy(SCHEMAS[name])
    node(changed, path)["properties"]["brand_new"] = {"type": kind}
    assert breaking_changes(SCHEMAS[name], changed) == []
    node(changed, path).setdefault("required", []).append("brand_new")
    assert any("brand_new: newly required" in line for line in breaking_changes(SCHEMAS[name], changed))


@RELAXED
@given(st.sampled_from(OBJECTS))
def test_closing_an_object_to_unknown_fields_is_refused(chosen):
    name, path = chosen
    changed = copy.deepcopy(SCHEMAS[name])
    node(changed, path)["additionalProperties"] = False
    assert any("unknown fields" in line for line in breaking_changes(SCHEMAS[name], changed))


@RELAXED
@given(st.sampled_from(FIELDS))
def test_another_type_is_refused(chosen):
    name, path, field = chosen
    changed = copy.deepcopy(SCHEMAS[name])
    node(changed, path)["properties"][field] = {"type": "a type that nothing has"}
    assert any(
        f".{field}: " in line and "no longer allowed" in line for line in breaking_changes(SCHEMAS[name], changed)
    )


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ({"type": "number"}, {"type": "integer"}, "type 'number' is no longer allowed"),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, "value 'b' is no longer allowed"),
        ({"type": "string"}, {"enum": ["a"], "type": "string"}, "only 'a'"),
        ({"enum": [1]}, {"enum": [True]}, "value 1 is no longer allowed"),
        ({"type": "number", "minimum": 0}, {"type": "number", "minimum": 1}, "minimum rose from 0 to 1"),
        ({"type": "number"}, {"type": "number", "maximum": 1}, "maximum fell from none to 1"),
        ({"type": "number", "minimum": 0}, {"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum rose"),
        ({"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 8}, "maxLength fell from 9 to 8"),
        ({"type": "string"}, {"type": "string", "pattern": "^a"}, "pattern changed from 'none' to '^a'"),
        ({"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}, "pattern changed"),
        ({"type": "string"}, {"type": "string", "format": "date-time"}, "format changed"),
        ({"type": "array"}, {"type": "array", "minItems": 1}, "minItems rose from none to 1"),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}, "type 'any' is no longer allowed"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, "type 'null' is no longer allowed"),
        ({"type": ["string", "null"]}, {"type": "string"}, "type 'null' is no longer allowed"),
        ({}, {"type": "string"}, "type 'any' is no longer allowed"),
        ({"type": "object"}, {"type": "object", "additionalProperties": {"type": "string"}}, "type 'any'"),
        ({"type": "object"}, {"type": "object", "propertyNames": {"enum": ["a"]}}, "type 'any'"),
        ({"type": "string"}, {"allOf": [{"type": "string"}]}, "allOf cannot be judged"),
        ({"type": "array", "prefixItems": [{}]}, {"type": "array", "prefixItems": [{}, {}]}, "fixed positions"),
        ({"type": "string"}, False, "type 'string' is no longer allowed"),
    ],
)
def test_narrowing_is_refused(old, new, finding):
    found = breaking_changes({"properties": {"x": old}}, {"properties": {"x": new}})
    assert [line for line in found if line.startswith("$.x") and finding in line], found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer"}, {"type": "number"}),
        ({"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"enum": ["a"], "type": "string"}, {"enum": ["a", "b"], "type": "string"}),
        ({"const": "a"}, {"type": "string"}),
        ({"type": "string", "pattern": "a"}, {"type": "string"}),
        ({"type": "number", "minimum": 0, "maximum": 1}, {"type": "number", "minimum": -1}),
        ({"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 10}),
        ({"type": "string", "title": "A", "description": "b", "default": "c"}, {"type": "string"}),
        ({"type": "object", "additionalProperties": False}, {"type": "object"}),
        ({"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "number"}}),
        ({"anyOf": [{"const": "all"}, {"type": "integer"}]}, {"anyOf": [{"type": "number"}, {"type": "string"}]}),
        ({"type": "string"}, True),
    ],
)
def test_widening_is_allowed(old, new):
    assert breaking_changes({"properties": {"x": old}}, {"properties": {"x": new}}) == []


class Tree(BaseModel):
    children: list[Tree] | None = None
    size: int = Field(ge=0)


def test_recursive_models_are_compared_to_the_end():
    schema = Tree.model_json_schema()
    assert breaking_changes(schema, copy.deepcopy(schema)) == []
    narrower = copy.deepcopy(schema)
    narrower["$defs"]["Tree"]["properties"]["size"]["minimum"] = 1
    assert "$.size: minimum rose from 0 to 1" in breaking_changes(schema, narrower)


scalars = st.one_of(
    st.builds(
        lambda kind, low, high: {
            "type": kind,
            **({"minimum": low} if low else {}),
            **({"maximum": high} if high else {}),
        },
        st.sampled_from(["integer", "number"]),
        st.none() | st.integers(-2, 2),
        st.none() | st.integers(-2, 4),
    ),
    st.builds(lambda size: {"type": "string", **({"maxLength": size} if size else {})}, st.none() | st.integers(1, 3)),
    st.lists(st.sampled_from(["a", "b", 1, True, None]), min_size=1, max_size=3).map(lambda values: {"enum": values}),
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {}]),
)


def containers(inner):
    fields = st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)
    return st.one_of(
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(
            lambda properties, required, rest: {
                "type": "object",
                "properties": properties,
                "required": sorted(required & properties.keys()),
                "additionalProperties": rest,
            },
            fields,
            st.sets(st.sampled_from("xyz")),
            st.booleans() | inner,
        ),
    )


schemas = st.recursive(scalars, containers, max_leaves=5)
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.sampled_from([0.5, 1.5])
    | st.sampled_from(["", "a", "b", "abcd"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyzw"), inner, max_size=3),
    max_leaves=5,
)


@RELAXED
@given(schemas, schemas, st.lists(documents, min_size=1, max_size=30))
def test_what_the_gate_lets_through_reads_every_old_document(old, new, candidates):
    if breaking_changes(old, new):
        new = {"anyOf": [new, old]}
        assume(not breaking_changes(old, new))
    before, after = Draft202012Validator(old), Draft202012Validator(new)
    # A field that the new version adds is not checked against what older writers put there as unknown.
    for document in candidates:
        if before.is_valid(document) and not adds_fields(old, new):
            assert after.is_valid(document), (old, new, document)


def adds_fields(old: Any, new: Any) -> bool:
    names = [{field for path in object_nodes(one) for field in node(one, path)["properties"]} for one in (old, new)]
    return not names[1] <= names[0]
