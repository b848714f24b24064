"""One workload a service: account, pods, Service for scrapes, disruption budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from deploy.k8s.common import HOME, PORT, USER, VERSION, Manifest, labels, manifest
from services.ingestor.tenants import Tenants

TENANTS = "limoflow-tenants"
TENANTS_FOLDER = "/etc/limoflow"


@dataclass(frozen=True, slots=True)
class Workload:
    """One service on Kubernetes.

    Attributes
    ----------
    stateful : bool
        Whether its transactional id must stay the same after a restart: a StatefulSet keeps the pod's name.
    home : str
        What it does with the shared folder (lake, models, rewards, benchmarks, indexes, releases, adapters).
    cpu, memory : tuple of str
        Request and limit.
    grace_s : int
        Seconds from SIGTERM to SIGKILL.
    tenants : bool
        Whether it holds runs to the quotas of their tenants.
    """

    name: str
    stateful: bool
    home: Literal["none", "read", "write"]
    replicas: int
    cpu: tuple[str, str]
    memory: tuple[str, str]
    grace_s: int = 60
    tenants: bool = False


# Memory: what `make test-k8s` shows of each pod after the demo, with room; docs/operate/scale.md has the figures.
WORKLOADS = (
    # Each run that reads Parquet has a process beside it, 70 MiB and up to 256 more while it unpacks.
    Workload("ingestor", True, "write", 1, ("250m", "1"), ("128Mi", "2Gi"), tenants=True),
    Workload("generator", False, "none", 2, ("250m", "1"), ("128Mi", "512Mi")),
    # Programs of its checks run beside it, up to 512 MiB each; they are the first to be killed.
    Workload("verifier", False, "read", 2, ("500m", "2"), ("192Mi", "2Gi")),
    Workload("scorer", False, "read", 2, ("250m", "1"), ("128Mi", "512Mi")),
    # Pools of open windows are in memory: 100,000 samples of a few kB for each.
    Workload("selector", True, "read", 2, ("500m", "2"), ("512Mi", "2Gi")),
    Workload("exporter", True, "write", 1, ("250m", "1"), ("128Mi", "1Gi")),
    Workload("trainer", True, "write", 1, ("1", "4"), ("1Gi", "8Gi"), 120),
)


def workload_manifests(workload: Workload) -> list[Manifest]:
    """Return the account, the workload, its metrics Service and its disruption budget."""
    name, selector = workload.name, {"matchLabels": labels(workload.name)}
    template = {"metadata": {"labels": labels(name)}, "spec": _pod(workload)}
    spec: Manifest = {"replicas": workload.replicas, "selector": selector, "template": template}
    if workload.stateful:
        spec |= {"serviceName": name, "podManagementPolicy": "Parallel"}
    metrics = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": labels(name),
        "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
    }
    return [
        manifest("v1", "ServiceAccount", name, None, automountServiceAccountToken=False),
        manifest("apps/v1", "StatefulSet" if workload.stateful else "Deployment", name, spec),
        manifest("v1", "Service", name, metrics),
        manifest("policy/v1", "PodDisruptionBudget", name, {"maxUnavailable": 1, "selector": selector}),
    ]


def _pod(workload: Workload) -> Manifest:
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    if workload.home != "none":
        volumes.append({"name": "home", "persistentVolumeClaim": {"claimName": "limoflow-home"}})
    if workload.tenants:
        volumes.append({"name": "tenants", "configMap": {"name": TENANTS}})
    return {
        "serviceAccountName": workload.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": workload.grace_s,
        "topologySpreadConstraints": [
            _spread(key, workload.name) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
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


def _spread(key: str, name: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels(name)},
    }


def _container(workload: Workload) -> Manifest:
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - a volume of the pod's own
    if workload.home != "none":
        mounts.append({"name": "home", "mountPath": HOME, **({"readOnly": True} if workload.home == "read" else {})})
    mounts += [{"name": "tenants", "mountPath": TENANTS_FOLDER, "readOnly": True}] if workload.tenants else []
    environment: list[Manifest] = [
        {"name": "LIMOFLOW_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    ]
    environment += [{"name": "LIMOFLOW_TENANTS", "value": f"{TENANTS_FOLDER}/tenants.yaml"}] if workload.tenants else []
    return {
        "name": workload.name,
        "image": f"limoflow/{workload.name}:{VERSION}",
        "envFrom": [
            {"configMapRef": {"name": "limoflow"}},
            {"secretRef": {"name": "limoflow-credentials", "optional": True}},
        ],
        "env": environment,
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


def tenants_file() -> Manifest:
    """Return the file of tenants that an installation begins with: every key, and no bound."""
    return Tenants().model_dump(mode="json")


def _probe(path: str, **timing: int) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 5, **timing}
