"""Writes the generated manifests of the base: one workload a service, and the topics of topics.yaml as KafkaTopics.

Usage: python deploy/k8s/generate.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from limoflow.stream.settings import BrokerSettings
from limoflow.stream.topics_admin import _new as new_topic
from schemas.topics import topics

BASE = Path(__file__).parent / "base"
VERSION = "0.1.0"
PORT = 9400
USER = 10001
HOME = "/var/lib/limoflow"
BROKER = BrokerSettings(partitions=12, replication_factor=3)
HEAD = "# Written by deploy/k8s/generate.py; change that, and run it.\n"


@dataclass(frozen=True, slots=True)
class Workload:
    """One service on Kubernetes.

    Attributes
    ----------
    stateful : bool
        Whether its transactional id must stay the same after a restart: a StatefulSet keeps the pod's name.
    home : bool
        Whether it reads or writes the shared folder (lake, releases, adapters).
    cpu, memory : tuple of str
        Request and limit.
    """

    name: str
    stateful: bool
    home: bool
    replicas: int
    cpu: tuple[str, str]
    memory: tuple[str, str]
    grace_s: int = 60


WORKLOADS = (
    Workload("ingestor", True, True, 1, ("250m", "1"), ("256Mi", "512Mi")),
    Workload("generator", False, False, 2, ("250m", "1"), ("256Mi", "512Mi")),
    Workload("verifier", False, False, 2, ("500m", "2"), ("384Mi", "1Gi")),
    Workload("scorer", False, False, 2, ("250m", "1"), ("256Mi", "512Mi")),
    Workload("selector", True, False, 2, ("500m", "2"), ("512Mi", "1Gi")),
    Workload("exporter", True, True, 1, ("250m", "1"), ("256Mi", "1Gi")),
    Workload("trainer", True, True, 1, ("1", "4"), ("2Gi", "8Gi"), 120),
)


def labels(name: str) -> dict[str, str]:
    """Return the labels that select the pods of a workload."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "limoflow"}


def _object(api: str, kind: str, name: str, spec: dict[str, Any] | None, **others: Any) -> dict[str, Any]:
    made = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": labels(name)}}
    return {**made, **others, **({"spec": spec} if spec is not None else {})}


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 5, **timing}


def _container(workload: Workload) -> dict[str, Any]:
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - a volume of the pod's own
    mounts += [{"name": "home", "mountPath": HOME}] if workload.home else []
    return {
        "name": workload.name,
        "image": f"limoflow/{workload.name}:{VERSION}",
        "envFrom": [
            {"configMapRef": {"name": "limoflow"}},
            {"secretRef": {"name": "limoflow-credentials", "optional": True}},
        ],
        "env": [{"name": "LIMOFLOW_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "livenessProbe": _probe("/healthz", periodSeconds=10, failureThreshold=3),
        "readinessProbe": _probe("/readyz", periodSeconds=5, failureThreshold=2),
        "startupProbe": _probe("/healthz", periodSeconds=2, failureThreshold=60),
        "resources": {
            "requests": {"cpu": workload.cpu[0], "memory": workload.memory[0]},
            "limits": {"cpu": workload.cpu[1], "memory": workload.memory[1]},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _pod(workload: Workload) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    if workload.home:
        volumes.append({"name": "home", "persistentVolumeClaim": {"claimName": "limoflow-home"}})
    return {
        "serviceAccountName": workload.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": workload.grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(workload)],
        "volumes": volumes,
    }


def workload_manifests(workload: Workload) -> list[dict[str, Any]]:
    """Return the account, the workload, its metrics Service and its disruption budget."""
    name, selector = workload.name, {"matchLabels": labels(workload.name)}
    template = {"metadata": {"labels": labels(name)}, "spec": _pod(workload)}
    spec: dict[str, Any] = {"replicas": workload.replicas, "selector": selector, "template": template}
    if workload.stateful:
        spec |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    metrics = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": labels(name),
        "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
    }
    return [
        _object("v1", "ServiceAccount", name, None, automountServiceAccountToken=False),
        _object("apps/v1", "StatefulSet" if workload.stateful else "Deployment", name, spec),
        _object("v1", "Service", name, metrics),
        _object("policy/v1", "PodDisruptionBudget", name, {"maxUnavailable": 1, "selector": selector}),
    ]


def topic_manifests() -> list[dict[str, Any]]:
    """Return every topic as a KafkaTopic, configured as the services would create it."""
    manifests = []
    for name, topic in topics().items():
        made = new_topic(name, topic, BROKER)
        spec = {
            "topicName": name,
            "partitions": made.num_partitions,
            "replicas": made.replication_factor,
            "config": {key: _number(value) for key, value in sorted((made.config or {}).items())},
        }
        metadata = {"name": name, "labels": {"strimzi.io/cluster": "limoflow"}}
        manifests.append(
            {"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "metadata": metadata, "spec": spec}
        )
    return manifests


def _number(text: str) -> int | float | str:
    return int(text) if text.isdigit() else text


def texts() -> dict[Path, str]:
    """Return the text of every generated file."""
    made = {BASE / f"{workload.name}.yaml": workload_manifests(workload) for workload in WORKLOADS}
    made[BASE / "topics.yaml"] = topic_manifests()
    return {path: HEAD + yaml.safe_dump_all(documents, sort_keys=False) for path, documents in made.items()}


if __name__ == "__main__":
    for target, text in texts().items():
        target.write_text(text, encoding="utf-8")
