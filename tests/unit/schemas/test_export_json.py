"""The exported JSON Schemas and their examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from schemas import Release, RunSpec, source_id
from schemas.compatibility import check
from schemas.export_json import COMMITTED, EVENTS, EXAMPLES, BreakingChange, export, file_name, json_schema, schema_text


def example(name: str) -> dict:
    return json.loads((EXAMPLES / f"{name}.v1.json").read_text(encoding="utf-8"))


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((COMMITTED / file_name(name)).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_committed_schemas_are_the_code():
    assert check(COMMITTED) == []


@pytest.mark.parametrize("name", EVENTS)
def test_schema_has_its_identity(name):
    assert json_schema(name)["$id"] == f"urn:limoflow:schema:{name}:v1"


@pytest.mark.parametrize("name", EVENTS)
def test_example_holds_for_the_committed_schema_and_the_model(name):
    validator(name).validate(example(name))
    EVENTS[name].model_validate(example(name))


@pytest.mark.parametrize("name", EVENTS)
def test_example_sets_every_field_of_the_event(name):
    assert set(json_schema(name)["properties"]) <= set(example(name))


@pytest.mark.parametrize("name", EVENTS)
def test_schema_refuses_what_lacks_a_required_field(name):
    schema = json_schema(name)
    assert schema["required"]
    for field in schema["required"]:
        broken = {key: value for key, value in example(name).items() if key != field}
        with pytest.raises(ValidationError, match=field):
            validator(name).validate(broken)


@pytest.mark.parametrize("name", EVENTS)
def test_what_a_model_writes_holds_for_its_schema(name):
    validator(name).validate(json.loads(EVENTS[name].model_validate(example(name)).to_bytes()))


def test_examples_are_consistent_with_the_identities():
    sample, release = example("sample"), example("release")
    assert sample["id"] == source_id(sample["metadata"]["lineage"]["source_ref"])
    body = {key: value for key, value in release.items() if key != "release_id"}
    assert Release.sealed(**body).release_id == release["release_id"]
    assert RunSpec.model_validate(example("run")["spec"]).sha256() == release["spec_sha256"]
    for name in ("model", "evaluation", "export"):
        assert example(name)["release_id"] == release["release_id"]


def test_there_is_no_other_example():
    assert {path.name for path in EXAMPLES.iterdir()} == {f"{name}.v1.json" for name in EVENTS}


def test_export_writes_once_and_the_same_text(tmp_path: Path):
    assert sorted(path.name for path in export(tmp_path)) == sorted(file_name(name) for name in EVENTS)
    assert export(tmp_path) == []
    for name in EVENTS:
        assert (tmp_path / file_name(name)).read_text(encoding="utf-8") == schema_text(name)
    assert check(tmp_path) == []


def test_export_refuses_a_breaking_change_and_writes_nothing(tmp_path: Path):
    export(tmp_path)
    path = tmp_path / file_name("sample")
    committed = json.loads(path.read_text(encoding="utf-8"))
    committed["properties"]["removed_field"] = {"type": "string"}
    path.write_text(json.dumps(committed), encoding="utf-8")
    (tmp_path / file_name("run")).unlink()
    with pytest.raises(BreakingChange, match=r"sample\.v1\.schema\.json: \$\.removed_field: removed"):
        export(tmp_path)
    assert not (tmp_path / file_name("run")).exists()
    assert json.loads(path.read_text(encoding="utf-8")) == committed


def test_export_takes_a_compatible_change(tmp_path: Path):
    export(tmp_path)
    path = tmp_path / file_name("sample")
    older = json.loads(path.read_text(encoding="utf-8"))
    del older["properties"]["messages"]
    path.write_text(json.dumps(older), encoding="utf-8")
    assert export(tmp_path) == [path]


def test_check_names_missing_stale_unreadable_and_orphaned_files(tmp_path: Path):
    export(tmp_path)
    (tmp_path / file_name("run")).unlink()
    (tmp_path / file_name("sample")).write_text(schema_text("sample") + "\n", encoding="utf-8")
    (tmp_path / file_name("model")).write_text("{", encoding="utf-8")
    (tmp_path / "gone.v1.schema.json").write_text("{}", encoding="utf-8")
    problems = check(tmp_path)
    assert len(problems) == 4
    for name, word in (("run", "missing"), ("sample", "stale"), ("model", "not JSON"), ("gone", "gone from the code")):
        assert [problem for problem in problems if problem.startswith(f"{name}.v1") and word in problem], problems


def test_check_refuses_a_breaking_change(tmp_path: Path):
    export(tmp_path)
    path = tmp_path / file_name("export")
    committed = json.loads(path.read_text(encoding="utf-8"))
    committed["properties"]["rows"]["type"] = "string"
    path.write_text(json.dumps(committed), encoding="utf-8")
    assert check(tmp_path) == [f"{path.name}: breaking change: $.rows: type 'string' is no longer allowed"]
