"""Compares two JSON Schemas: what the new one refuses, or no longer knows, that the old one promised.

Covers the keywords that pydantic exports (JSON Schema draft 2020-12). Any other keyword is reported: what cannot be
judged is not let through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_ANNOTATIONS = frozenset(
    {"$comment", "$defs", "$id", "$schema", "default", "deprecated", "description", "examples", "readOnly", "title"}
    | {"writeOnly"}
)
_JUDGED = frozenset(
    {"$ref", "additionalProperties", "anyOf", "const", "enum", "items", "oneOf", "prefixItems", "properties"}
    | {"propertyNames", "required", "type"}
)
_EQUAL_OR_BROKEN = frozenset({"contentEncoding", "contentMediaType", "format", "multipleOf", "pattern", "uniqueItems"})
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_TYPES_OF_VALUES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
    list: "array",
    dict: "object",
}


def breaking_changes(old: Json, new: Json) -> list[str]:
    """Return what breaks a reader or a writer when `old` becomes `new`; empty where the change is compatible.

    Compatible are: new optional fields, wider types, enumerations and bounds, and texts for people. Breaking are: a
    removed field, a field that becomes required or stops being it, and anything that the old schema accepts and the new
    one refuses (G7: a reader of version N reads what N-1 wrote).

    Parameters
    ----------
    old, new : dict
        JSON Schemas as `schemas.export_json` writes them.

    Returns
    -------
    list of str
        One line a change: the path in the event, and what changed.
    """
    return list(dict.fromkeys(_Comparison(old.get("$defs", {}), new.get("$defs", {})).schema(old, new, "$")))


@dataclass
class _Comparison:
    old_definitions: Json
    new_definitions: Json
    _under_way: set[tuple[int, int]] = field(default_factory=set)

    def schema(self, old: Any, new: Any, path: str) -> Iterator[str]:
        accepted = _alternatives(_as_object(new), self.new_definitions)
        for wanted in _alternatives(_as_object(old), self.old_definitions):
            yield from self._closest(wanted, accepted, path)

    def _closest(self, wanted: Json, accepted: list[Json], path: str) -> Iterator[str]:
        candidates = [alternative for alternative in accepted if _types_fit(wanted, alternative)]
        if not candidates:
            yield f"{path}: {_described(wanted)} is no longer allowed"
            return
        yield from min((self._recursion_safe(wanted, one, path) for one in candidates), key=len)

    def _recursion_safe(self, old: Json, new: Json, path: str) -> list[str]:
        # A recursive model meets itself again: the pair holds there if it holds everywhere else.
        pair = (id(old), id(new))
        if pair in self._under_way:
            return []
        self._under_way.add(pair)
        found = list(self._alternative(old, new, path))
        self._under_way.discard(pair)
        return found

    def _alternative(self, old: Json, new: Json, path: str) -> Iterator[str]:
        if "const" in new and ("const" not in old or not _same(old["const"], new["const"])):
            yield f"{path}: {_described(old)} is no longer allowed, only {new['const']!r}"
            return
        if "const" in old and "const" in new:
            return
        yield from _bounds(old, new, path)
        yield from _unjudged(old, new, path)
        yield from self._fields(old, new, path)
        for keyword, part in (("items", "[]"), ("propertyNames", "{name}")):
            if keyword in new:
                yield from self.schema(old.get(keyword, True), new[keyword], path + part)
        yield from self._positions(old.get("prefixItems", []), new.get("prefixItems", []), path)
        yield from self._additional(old, new, path)

    def _fields(self, old: Json, new: Json, path: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        must_before, must_after = set(old.get("required", ())), set(new.get("required", ()))
        for name in before.keys() - after.keys():
            yield f"{path}.{name}: removed"
        for name in sorted(must_after - must_before):
            yield f"{path}.{name}: newly required"
        for name in sorted((must_before - must_after) & after.keys()):
            yield f"{path}.{name}: no longer required, and old readers lean on it"
        for name in sorted(before.keys() & after.keys()):
            yield from self.schema(before[name], after[name], f"{path}.{name}")

    def _positions(self, old: list[Any], new: list[Any], path: str) -> Iterator[str]:
        if len(old) != len(new):
            yield f"{path}: fixed positions changed from {len(old)} to {len(new)}"
        for position, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from self.schema(before, after, f"{path}[{position}]")

    def _additional(self, old: Json, new: Json, path: str) -> Iterator[str]:
        rest = new.get("additionalProperties", True)
        if rest is False and old.get("additionalProperties", True) is not False:
            yield f"{path}: unknown fields are no longer allowed"
        elif isinstance(rest, dict) and old.get("additionalProperties", True) is not False:
            yield from self.schema(old.get("additionalProperties", True), rest, f"{path}{{}}")


def _as_object(schema: Any) -> Json:
    if isinstance(schema, dict):
        return schema
    return {} if schema else {"enum": []}


def _alternatives(schema: Json, definitions: Json) -> list[Json]:
    """Spell a schema out as alternatives of one type, or one value, each."""
    if "$ref" in schema:
        return _alternatives(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return [one for part in schema[keyword] for one in _alternatives(_as_object(part), definitions)]
    if "enum" in schema:
        rest = {key: value for key, value in schema.items() if key != "enum"}
        return [{**rest, "const": value} for value in schema["enum"]]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": name} for name in schema["type"]]
    return [schema]


def _type_of(schema: Json) -> str | None:
    if "const" in schema:
        return _TYPES_OF_VALUES[type(schema["const"])]
    name: str | None = schema.get("type")
    return name


def _types_fit(old: Json, new: Json) -> bool:
    before, after = _type_of(old), _type_of(new)
    return after is None or before == after or (before == "integer" and after == "number")


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _described(schema: Json) -> str:
    return f"value {schema['const']!r}" if "const" in schema else f"type {schema.get('type', 'any')!r}"


def _bounds(old: Json, new: Json, path: str) -> Iterator[str]:
    # A bound of the other kind (minimum against exclusiveMinimum) counts as absent, which errs on the safe side.
    for keyword in _LOWER_BOUNDS:
        if keyword in new and (keyword not in old or new[keyword] > old[keyword]):
            yield f"{path}: {keyword} rose from {old.get(keyword, 'none')} to {new[keyword]}"
    for keyword in _UPPER_BOUNDS:
        if keyword in new and (keyword not in old or new[keyword] < old[keyword]):
            yield f"{path}: {keyword} fell from {old.get(keyword, 'none')} to {new[keyword]}"


def _unjudged(old: Json, new: Json, path: str) -> Iterator[str]:
    known = _ANNOTATIONS | _JUDGED | set(_LOWER_BOUNDS) | set(_UPPER_BOUNDS)
    for keyword in sorted(new.keys() - known):
        if keyword not in _EQUAL_OR_BROKEN:
            yield f"{path}: {keyword} cannot be judged; teach it to schemas/narrowing.py"
        elif keyword not in old or old[keyword] != new[keyword]:
            yield f"{path}: {keyword} changed from {old.get(keyword, 'none')!r} to {new[keyword]!r}"
