"""Strimzi's objects, from schemas/topics.yaml: topics, a user with its rights for each service, and its password."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.k8s.common import BROKER, CLUSTER, Manifest
from deploy.k8s.workloads import WORKLOADS
from limoflow.stream.topics_admin import _new as new_topic
from schemas.topics import topics

API = "kafka.strimzi.io/v1"
SERVICES = tuple(workload.name for workload in WORKLOADS)
CERTIFICATE = "/etc/kafka/ca"
# What a stage consumes, `limoflow dlq replay` may write again.
REPLAYED = ("samples.raw", "samples.candidate", "samples.verified", "samples.scored", "releases")


def topic_manifests() -> list[Manifest]:
    """Return every topic as a KafkaTopic, configured as the services would create it."""
    made = []
    for name, topic in topics().items():
        new = new_topic(name, topic, BROKER)
        spec = {
            "topicName": name,
            "partitions": new.num_partitions,
            "replicas": new.replication_factor,
            "config": {key: _number(value) for key, value in sorted((new.config or {}).items())},
        }
        made.append(_owned("KafkaTopic", name, spec))
    return made


def user_manifests() -> list[Manifest]:
    """Return a user for each service, the command line and the scaler, with the rights that topics.yaml gives them."""
    return [_user(name, rights(name)) for name in (*SERVICES, "cli")] + [_user("scaler", _scaler_rights())]


def credential_patches() -> list[Manifest]:
    """Return, for each workload, the patch that gives it its password and the broker's certificate."""
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet" if workload.stateful else "Deployment",
            "metadata": {"name": workload.name},
            "spec": {"template": {"spec": _credentials(workload.name, workload.name)}},
        }
        for workload in WORKLOADS
    ]


def job_patch() -> Manifest:
    """Return the patch that gives the job of a run the account of the command line and the broker's certificate."""
    spec = {"template": {"spec": _credentials("cli", "run")}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run-demo"}, "spec": spec}


def cli_patch() -> Manifest:
    """Return the patch that gives the pod of the command line the same."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cli"}, "spec": _credentials("cli", "cli")}


def rights(service: str) -> list[Manifest]:
    """Return the access rules of one service.

    Every service sees that all topics exist (it checks at its start that none is missing), reads and writes only its
    own, and joins only groups and transactions that begin with its name. The selector also sees how far the stages
    before it have committed: the barrier of a window.
    """
    read = sorted(name for name, topic in topics().items() if service in topic.consumers)
    write = {name for name, topic in topics().items() if service in topic.producers}
    write |= set(REPLAYED) if service == "cli" else set()
    rules = [_rule("topic", "*", ["Describe"])]
    rules += [_rule("topic", name, ["Read"]) for name in read]
    rules += [_rule("topic", name, ["Write"]) for name in sorted(write)]
    # Readers outside any group still name one.
    rules += [_rule("group", name, ["Read"], prefix=True) for name in (service, "limoflow-")]
    if service in ("selector", "cli"):
        rules.append(_rule("group", "*", ["Describe"]))
    return [*rules, _rule("transactionalId", service, ["Describe", "Write"], prefix=True)]


def _scaler_rights() -> list[Manifest]:
    return [_rule("topic", "*", ["Describe"]), _rule("group", "*", ["Describe"])]


def _rule(kind: str, name: str, operations: Iterable[str], *, prefix: bool = False) -> Manifest:
    resource = {"type": kind, "name": name, "patternType": "prefix" if prefix else "literal"}
    return {"resource": resource, "operations": list(operations)}


def _user(name: str, rules: list[Manifest]) -> Manifest:
    spec = {
        "authentication": {"type": "scram-sha-512"},
        "authorization": {"type": "simple", "acls": rules},
    }
    return _owned("KafkaUser", f"{CLUSTER}-{name}", spec)


def _owned(kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def _credentials(name: str, container: str) -> Manifest:
    user = f"{CLUSTER}-{name}"
    reference = {"secretKeyRef": {"name": user, "key": "password"}}
    environment = [
        {"name": "LIMOFLOW_KAFKA_SASL_USERNAME", "value": user},
        {"name": "LIMOFLOW_KAFKA_SASL_PASSWORD", "valueFrom": reference},
    ]
    mount = {"name": "kafka-ca", "mountPath": CERTIFICATE, "readOnly": True}
    secret = {"secretName": f"{CLUSTER}-cluster-ca-cert", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    return {
        "containers": [{"name": container, "env": environment, "volumeMounts": [mount]}],
        "volumes": [{"name": "kafka-ca", "secret": secret}],
    }


def _number(text: str) -> int | float | str:
    return int(text) if text.isdigit() else text
