"""Topics, rights and scaling against schemas/topics.yaml, and topics.yaml against what the services read."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

from limoflow.stream.types import Input
from limoflow.wiring.stack import SERVICES
from schemas.topics import dead_letters_of, topics
from tests.deploy.documents import Document, built, built_beside, named, overlay, workloads, written
from tests.deploy.test_operate_docs import kustomizations

STRIMZI = written("components/kafka-strimzi")
SCALING = written("components/autoscaling")
CLUSTER_WIDE = {"Namespace", "RuntimeClass"}


def allowed(service: str, operation: str, kind: str = "topic") -> set[str]:
    """Names of the resources on which a service has a right, `describe everything` left out."""
    rules = named(STRIMZI, "KafkaUser")[f"limoflow-{service}"]["spec"]["authorization"]["acls"]
    return {
        rule["resource"]["name"]
        for rule in rules
        if rule["resource"]["type"] == kind and operation in rule["operations"]
    }


def inputs_of(service: str) -> set[str]:
    """Topics that the tasks of a service read, as its code says."""
    found: set[str] = set()
    package = importlib.import_module(f"services.{service}")
    for module in pkgutil.iter_modules(package.__path__, f"services.{service}."):
        specification = importlib.util.find_spec(module.name)
        if "Input(" not in Path(str(specification and specification.origin)).read_text(encoding="utf-8"):
            continue
        for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            stated = getattr(one, "inputs", None)
            if isinstance(stated, tuple) and all(isinstance(part, Input) for part in stated):
                found |= {part.topic for part in stated}
    return found


def test_topics_agree_with_the_contract():
    generated = named(STRIMZI, "KafkaTopic")
    assert set(generated) == set(topics())
    data = named(overlay("production"), "ConfigMap")["limoflow"]["data"]
    for name, topic in topics().items():
        spec = generated[name]["spec"]
        assert spec["partitions"] == (
            int(data["LIMOFLOW_KAFKA_PARTITIONS"]) if topic.partitions == "work" else topic.partitions
        )
        assert spec["replicas"] == int(data["LIMOFLOW_KAFKA_REPLICATION_FACTOR"])
        assert (spec["config"]["cleanup.policy"] == "compact") == (topic.retention == "compact")
        if topic.retention != "compact":
            assert spec["config"]["retention.ms"] == topic.retention * 3_600_000


def test_there_is_a_user_for_each_service_and_its_password_reaches_it_alone():
    assert set(named(STRIMZI, "KafkaUser")) == {f"limoflow-{name}" for name in (*SERVICES, "cli", "scaler")}
    for name, workload in workloads(overlay("production")).items():
        if name in SERVICES:
            (container,) = workload["spec"]["template"]["spec"]["containers"]
            environment = {one["name"]: one for one in container["env"]}
            assert environment["LIMOFLOW_KAFKA_SASL_USERNAME"]["value"] == f"limoflow-{name}"
            reference = environment["LIMOFLOW_KAFKA_SASL_PASSWORD"]["valueFrom"]["secretKeyRef"]
            assert reference == {"name": f"limoflow-{name}", "key": "password"}


@pytest.mark.parametrize(("folder", "kind"), [("jobs/production", "Job"), ("jobs/production-cli", "Pod")])
def test_the_command_line_has_an_account_of_its_own_in_production(folder: str, kind: str):
    (found,) = named(list(yaml.safe_load_all(built(folder))), kind).values()
    template, documents = found["spec"]["template"] if kind == "Job" else found, overlay("production")
    pod = template["spec"]
    (container,) = pod["containers"]
    environment = {one["name"]: one for one in container["env"]}
    user = environment["LIMOFLOW_KAFKA_SASL_USERNAME"]["value"]
    assert user == "limoflow-cli"
    assert user in named(documents, "KafkaUser")
    reference = environment["LIMOFLOW_KAFKA_SASL_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": user, "key": "password"}
    place = named(documents, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_KAFKA_SSL_CA_LOCATION"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "kafka-ca"]
    assert f"{mount['mountPath']}/ca.crt" == place
    assert any(one["name"] == "kafka-ca" for one in pod["volumes"])
    # What else it names is in its own namespace alone.
    assert found["metadata"]["namespace"] == named(documents, "ConfigMap")["limoflow"]["metadata"]["namespace"]
    # Planning a run looks at its sources, in object stores too.
    policies = named(documents, "NetworkPolicy")
    for policy in ("kafka-clients", "outside", "models-clients"):
        (selected,) = policies[policy]["spec"]["podSelector"]["matchExpressions"]
        assert template["metadata"]["labels"]["app.kubernetes.io/name"] in selected["values"], policy


def test_a_run_of_ones_own_is_a_folder_beside_ours(tmp_path: Path):
    (own,) = [text for text in kustomizations("install.md") if "configMapGenerator" in text]
    documents = built_beside("jobs/own", own, tmp_path, run="name: own\n")
    (job,), (spec,) = (named(documents, kind).values() for kind in ("Job", "ConfigMap"))
    assert spec["data"] == {"run.yaml": "name: own\n"}
    volumes = {one["name"]: one for one in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["run-spec"]["configMap"]["name"] == spec["metadata"]["name"] != "run-demo"
    assert job["metadata"]["name"] != "run-demo"
    assert volumes["home"]["persistentVolumeClaim"]["claimName"] == "limoflow-home"
    assert volumes["kafka-ca"]["secret"]["secretName"] == "limoflow-cluster-ca-cert"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_what_the_contract_says_and_no_more(service: str):
    assert allowed(service, "Read") == {name for name, topic in topics().items() if service in topic.consumers}
    assert allowed(service, "Write") == {name for name, topic in topics().items() if service in topic.producers}
    assert dead_letters_of(service) in allowed(service, "Write")
    assert allowed(service, "Write", "transactionalId") == {service}
    assert allowed(service, "Read", "group") == {service, "limoflow-"}
    assert "All" not in str(named(STRIMZI, "KafkaUser")[f"limoflow-{service}"])


@pytest.mark.parametrize("service", SERVICES)
def test_the_contract_knows_what_a_service_reads(service: str):
    assert inputs_of(service) <= {name for name, topic in topics().items() if service in topic.consumers}


def test_tasks_are_found():
    assert {"samples.scored", "releases"} <= inputs_of("selector")


def test_the_command_line_reads_every_topic_that_it_audits_and_explains():
    assert {name for name in topics() if name.startswith(("samples.", "dlq."))} <= allowed("cli", "Read")


def test_scaling_stops_at_the_partitions_and_starts_from_nothing_for_the_trainer():
    objects = named(SCALING, "ScaledObject")
    partitions = {name: one["spec"]["partitions"] for name, one in named(STRIMZI, "KafkaTopic").items()}
    found = workloads(overlay("production"))
    for name in set(objects) - {"triton"}:
        spec = objects[name]["spec"]
        (trigger,) = spec["triggers"]
        topic = trigger["metadata"]["topic"]
        assert name in topics()[topic].consumers
        assert trigger["metadata"]["consumerGroup"] == name
        assert spec["maxReplicaCount"] == partitions[topic]
        assert spec["scaleTargetRef"]["kind"] == found[name]["kind"]
        assert "replicas" not in found[name]["spec"], f"{name}: two would set the number of its pods"
    assert {name for name, one in objects.items() if one["spec"]["minReplicaCount"] == 0} == {"trainer"}


def test_what_the_scaler_signs_in_with_is_there():
    documents = overlay("production")
    (authentication,) = named(documents, "TriggerAuthentication").values()
    for reference in authentication["spec"]["configMapTargetRef"]:
        assert reference["key"] in named(documents, "ConfigMap")[reference["name"]]["data"]
    (password,) = [one for one in authentication["spec"]["secretTargetRef"] if one["parameter"] == "password"]
    assert password["name"] in named(documents, "KafkaUser")
    for scaled in named(documents, "ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            assert trigger["type"] != "kafka" or trigger["authenticationRef"]["name"] == "kafka"


def asked_by_name(documents: list[Document]) -> set[str]:
    """Return the namespaces that the scaler's triggers name: it runs in one of its own, so each must name ours."""
    found = set()
    for scaled in named(documents, "ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            data = trigger["metadata"]
            if trigger["type"] == "kafka":
                name, namespace, rest = data["bootstrapServers"].split(".")
                assert (name, rest) == ("limoflow-kafka-bootstrap", "svc:9093")
                found.add(namespace)
            else:
                selectors = re.findall(r"{(.*?)}", data["query"])
                assert len(selectors) == len(re.findall(r"rate\(", data["query"]))
                found |= {re.fullmatch(r'namespace="(.*)"', one)[1] for one in selectors}  # type: ignore[index]
    return found


def test_the_scaler_asks_in_the_namespace_of_the_overlay():
    assert asked_by_name(overlay("production")) == {"limoflow"}


def test_an_installation_of_a_team_is_scaled_by_its_own_lag(tmp_path: Path):
    (own,) = [text for text in kustomizations("tenants.md") if "namespace:" in text]
    documents = built_beside("overlays/own", own, tmp_path)
    (namespace,) = {one["metadata"]["namespace"] for one in documents if one["kind"] not in CLUSTER_WIDE}
    assert namespace != "limoflow"
    assert asked_by_name(documents) == {namespace}


def test_the_scaler_speaks_a_protocol_that_brokers_of_today_know():
    for scaled in named(SCALING, "ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            if trigger["type"] == "kafka":
                # The least that brokers of version 4 take.
                assert tuple(map(int, trigger["metadata"]["version"].split("."))) >= (2, 1)
