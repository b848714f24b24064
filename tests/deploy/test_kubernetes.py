"""The manifests: valid, restricted, and in agreement with the code."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic_settings import BaseSettings

from limoflow.settings import ServiceSettings
from limoflow.stream.settings import BrokerSettings
from limoflow.wiring.stack import SERVICES
from schemas.topics import topics
from services.exporter.settings import ExporterSettings
from services.trainer.settings import TrainerSettings

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
CRDS = ROOT.parent / "shared" / "data" / "k8s_crds"
STANDARD = {"OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM"}
KUSTOMIZE = shutil.which("kubectl") or shutil.which("kustomize")

if not os.environ.get("CI"):
    pytest.importorskip("kubernetes_validate")
import kubernetes_validate  # noqa: E402 - only after the skip where it is not installed


def resources(folder: Path) -> list[dict[str, Any]]:
    """Every document that the `resources` of a kustomization name, before patches."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    found: list[dict[str, Any]] = []
    for name in listed:
        path = folder / name
        found += resources(path) if path.is_dir() else yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return found


def built(overlay: str) -> list[dict[str, Any]]:
    """Every document of an overlay, patches applied."""
    if KUSTOMIZE is None:
        pytest.skip("needs kubectl or kustomize on the PATH")
    command = [KUSTOMIZE, *(["kustomize"] if KUSTOMIZE.endswith("kubectl") else ["build"]), str(K8S / overlay)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(text))


def named(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def workloads(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {**named(documents, "Deployment"), **named(documents, "StatefulSet")}


BASE = resources(K8S / "base")


def check_core(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.34", strict=True)


def check_custom(document: dict[str, Any]) -> None:
    for path in CRDS.glob("*.yaml"):
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        if definition["names"]["kind"] == document["kind"]:
            version = document["apiVersion"].rpartition("/")[2]
            (schema,) = [one["schema"] for one in definition["versions"] if one["name"] == version]
            Draft202012Validator(closed(schema["openAPIV3Schema"])).validate(document)
            return
    raise AssertionError(f"no definition of {document['kind']}")


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server does with --validate=strict."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    open_object = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_object:
        made["additionalProperties"] = False
        if "apiVersion" in schema["properties"] and "kind" in schema["properties"]:
            made["properties"]["metadata"] = {"type": "object"}
    return made


def is_custom(document: dict[str, Any]) -> bool:
    return "strimzi.io" in document["apiVersion"]


def test_generated_files_are_fresh():
    for path, text in runpy.run_path(str(K8S / "generate.py"))["texts"]().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run deploy/k8s/generate.py"


def test_every_file_of_the_base_is_listed():
    listed = yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert set(listed) == {path.name for path in (K8S / "base").glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize("document", BASE, ids=lambda one: f"{one['kind']}/{one['metadata']['name']}")
def test_base_documents_hold_for_their_schemas(document):
    if not is_custom(document):
        check_core(document)
    elif CRDS.is_dir():
        check_custom(document)


def test_the_validators_refuse_unknown_fields():
    broken = json.loads(json.dumps(named(BASE, "Deployment")["scorer"]))
    broken["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        check_core(broken)
    if CRDS.is_dir():
        topic = json.loads(json.dumps(named(BASE, "KafkaTopic")["runs"]))
        topic["spec"]["replica"] = 1
        with pytest.raises(Exception, match="replica"):
            check_custom(topic)


def test_the_laptop_overlay_is_valid_and_small():
    documents = built("overlays/laptop")
    for document in documents:
        if not is_custom(document):
            check_core(document)
        elif CRDS.is_dir():
            check_custom(document)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "limoflow"
    assert {one["spec"]["replicas"] for one in workloads(documents).values()} == {1}
    assert {one["spec"]["replicas"] for one in named(documents, "KafkaTopic").values()} == {1}
    assert named(documents, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_KAFKA_REPLICATION_FACTOR"] == "1"
    assert len(documents) == len(BASE)


def test_topics_agree_with_the_contract():
    generated = named(BASE, "KafkaTopic")
    assert set(generated) == set(topics())
    partitions = int(named(BASE, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_KAFKA_PARTITIONS"])
    for name, topic in topics().items():
        spec = generated[name]["spec"]
        assert spec["partitions"] == (partitions if topic.partitions == "work" else topic.partitions)
        assert (spec["config"]["cleanup.policy"] == "compact") == (topic.retention == "compact")
        if topic.retention != "compact":
            assert spec["config"]["retention.ms"] == topic.retention * 3_600_000


def test_there_is_a_workload_an_account_a_budget_and_a_service_for_each_service():
    expected = {*SERVICES, "triton"}
    for kind in ("ServiceAccount", "PodDisruptionBudget", "Service"):
        assert set(named(BASE, kind)) == expected
    assert set(workloads(BASE)) == expected
    for name, workload in workloads(BASE).items():
        pod = workload["spec"]["template"]
        wanted = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "limoflow"}
        assert pod["metadata"]["labels"] == wanted
        assert workload["spec"]["selector"]["matchLabels"] == wanted
        assert named(BASE, "Service")[name]["spec"]["selector"] == wanted
        assert named(BASE, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == wanted


@pytest.mark.parametrize("name", [*SERVICES, "triton"])
def test_pods_are_restricted_probed_and_bounded(name):
    pod = workloads(BASE)[name]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == name
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["image"].startswith(f"limoflow/{name}:")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    for bound in ("requests", "limits"):
        assert set(container["resources"][bound]) == {"cpu", "memory"}
    ports = {port["name"] for port in container["ports"]}
    assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} <= ports


@pytest.mark.parametrize("name", SERVICES)
def test_services_answer_probes_where_the_code_does(name):
    (container,) = workloads(BASE)[name]["spec"]["template"]["spec"]["containers"]
    data = named(BASE, "ConfigMap")["limoflow"]["data"]
    assert str(container["ports"][0]["containerPort"]) == data["LIMOFLOW_HTTP_PORT"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_every_variable_is_one_that_a_service_reads(monkeypatch):
    data = named(BASE, "ConfigMap")["limoflow"]["data"]
    kinds: tuple[type[BaseSettings], ...] = (BrokerSettings, ServiceSettings, ExporterSettings, TrainerSettings)
    known = {f"{kind.model_config['env_prefix']}{field}".upper() for kind in kinds for field in kind.model_fields}
    assert set(data) - STANDARD <= known
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    assert BrokerSettings().bootstrap_servers == data["LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS"]
    assert ServiceSettings().http_port == 9400
    assert str(ExporterSettings().folder) == data["LIMOFLOW_EXPORTER_FOLDER"]
    assert str(TrainerSettings().folder) == data["LIMOFLOW_TRAINER_FOLDER"]


def test_traffic_is_denied_by_default_and_edges_name_existing_pods():
    policies = named(BASE, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    known = {*SERVICES, "triton", "cli"}
    for policy in policies.values():
        for expression in policy["spec"]["podSelector"].get("matchExpressions", []):
            if expression["key"] == "app.kubernetes.io/name":
                assert set(expression["values"]) <= known
    reachers = policies["services-to-kafka"]["spec"]["podSelector"]["matchExpressions"][0]["values"]
    assert set(SERVICES) <= set(reachers)


def test_nothing_is_privileged_or_holds_a_secret():
    for document in BASE:
        text = json.dumps(document)
        assert document["kind"] != "Secret"
        for word in ("hostNetwork", "hostPath", "hostPID", "privileged"):
            assert word not in text
