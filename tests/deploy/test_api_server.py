"""A real API server takes every overlay, with unknown fields refused; schemas stand in for it where it is missing."""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from tests.deploy.cluster.node import ApiServer, ClusterError
from tests.deploy.cluster.place import missing
from tests.deploy.documents import (
    CRDS,
    OVERLAYS,
    Document,
    built,
    built_beside,
    every_folder,
    named,
    overlay,
    workloads,
    written,
)
from tests.deploy.test_operate_docs import PAGES, kustomizations

JOBS = [folder for folder in every_folder() if folder.startswith("jobs/")]
WITHOUT_SERVER = missing(node=False) or (None if CRDS.is_dir() else f"{CRDS.name} is not in the shared data")


def free_ports() -> tuple[int, int]:
    """Two free ports; the one after the second is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.1", 0))
            port = second.getsockname()[1]
            try:
                third.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return first.getsockname()[1], port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    if WITHOUT_SERVER is not None:
        pytest.skip(WITHOUT_SERVER)
    with ApiServer(tmp_path_factory.mktemp("api") / "state", *free_ports()) as running:
        running.kubectl("apply", "--server-side", "-f", str(CRDS))
        running.kubectl("create", "namespace", "limoflow")
        running.kubectl("label", "namespace", "limoflow", "pod-security.kubernetes.io/warn=restricted")
        yield running


@pytest.mark.parametrize("name", [*(f"overlays/{one}" for one in OVERLAYS), *JOBS])
def test_the_api_server_takes_it_without_a_warning(server: ApiServer, name: str):
    # Warnings are how it says that pods would violate the namespace's restrictions.
    documents = [one for one in yaml.safe_load_all(built(name)) if one["kind"] != "Namespace"]
    assert server.warnings_of(yaml.safe_dump_all(documents)) == []


@pytest.fixture
def restored(server: ApiServer, tmp_path: Path) -> Iterator[ApiServer]:
    """The server with what Strimzi and the scaler are given in a restore."""
    (kustomization,) = kustomizations("backup.md")
    documents = built_beside("overlays/own", kustomization, tmp_path)
    custom = yaml.safe_dump_all(one for one in documents if one["kind"] in {"Kafka", "ScaledObject"})
    server.kubectl("apply", "-f", "-", feed=custom)
    yield server
    server.kubectl("delete", "-f", "-", feed=custom)


def test_the_commands_of_a_stop_and_of_a_restore_do_what_they_say(restored: ApiServer):
    def marked(kind: str, annotation: str) -> list[str | None]:
        found = restored.get("-n", "limoflow", kind)["items"]
        return [one["metadata"]["annotations"].get(annotation) for one in found]

    def enter(part: str) -> None:
        (command,) = [one for one in re.findall(r"(?m)^    kubectl (.*)$", PAGES["backup.md"]) if part in one]
        restored.kubectl(*shlex.split(command))

    scaled = ("scaledobject", "autoscaling.keda.sh/paused-replicas")
    enter("paused-replicas-")
    assert marked(*scaled) == [None] * len(named(overlay("production"), "ScaledObject"))
    enter("paused-replicas=0")
    assert set(marked(*scaled)) == {"0"}
    enter("clusterId")
    assert restored.get("-n", "limoflow", "kafka", "limoflow")["status"]["clusterId"] == "ID"
    waits = ("kafka", "strimzi.io/pause-reconciliation")
    assert marked(*waits) == ["true"]
    enter("pause-reconciliation-")
    assert marked(*waits) == [None]


def test_the_api_server_refuses_an_unknown_field(server: ApiServer):
    scorer = workloads(overlay("laptop"))["scorer"]
    scorer["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Never"
    with pytest.raises(ClusterError, match="imagePulPolicy"):
        server.warnings_of(yaml.safe_dump(scorer))


def test_the_api_server_warns_of_a_pod_with_rights(server: ApiServer):
    scorer = workloads(overlay("laptop"))["scorer"]
    del scorer["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]
    assert "restricted" in str(server.warnings_of(yaml.safe_dump(scorer)))


def check(document: Document) -> None:
    """Check a document against its schema, unknown fields refused."""
    group = document["apiVersion"].partition("/")[0]
    if group == "builtin":
        return  # of kustomize: building with it is its test
    if "." not in group or group.endswith(".k8s.io"):
        kubernetes_validate.validate(document, "1.34", strict=True)
    elif group != "external-secrets.io" and CRDS.is_dir():
        _check_custom(document)


def _check_custom(document: Document) -> None:
    validator = _custom_validators().get((document["kind"], document["apiVersion"]))
    assert validator is not None, f"no definition of {document['kind']} in {document['apiVersion']}"
    validator.validate(document)


@cache
def _custom_validators() -> dict[tuple[str, str], Draft202012Validator]:
    validators = {}
    for path in CRDS.glob("*.yaml"):
        definition = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["spec"]
        for version in definition["versions"]:
            key = (definition["names"]["kind"], f"{definition['group']}/{version['name']}")
            validators[key] = Draft202012Validator(_closed(version["schema"]["openAPIV3Schema"]))
    return validators


def _closed(schema: Any) -> Any:
    """Refuse unknown fields, as the API server does with --validate=strict."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    open_object = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_object:
        made["additionalProperties"] = False
        if "apiVersion" in schema["properties"] and "kind" in schema["properties"]:
            made["properties"]["metadata"] = {"type": "object"}
    return made


@pytest.mark.parametrize("folder", every_folder())
def test_documents_hold_for_their_schemas(folder: str):
    for document in written(folder):
        check(document)


@pytest.mark.skipif(WITHOUT_SERVER is None, reason="an API server has checked them")
@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_hold_for_their_schemas(name: str):
    for document in overlay(name):
        check(document)


def test_the_schemas_refuse_unknown_fields():
    (scorer,) = [one for one in written("base") if one["kind"] == "Deployment" and one["metadata"]["name"] == "scorer"]
    broken = json.loads(json.dumps(scorer))
    broken["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        check(broken)
    if CRDS.is_dir():
        topic = json.loads(
            json.dumps(next(one for one in written("components/kafka-strimzi") if one["kind"] == "KafkaTopic"))
        )
        topic["spec"]["replica"] = 1
        with pytest.raises(ValidationError, match="replica"):
            check(topic)
