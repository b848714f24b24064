"""Network policies: nothing speaks to anything, except along the edges that the code has or an operator adds."""

from __future__ import annotations

from deploy.k8s.common import PORT, Manifest, services_that_import
from deploy.k8s.workloads import WORKLOADS

KAFKA_PORTS = (9092, 9093)
TRITON_PORT = 8001
TRITON_METRICS_PORT = 8002
NAME = "app.kubernetes.io/name"
COLLECTOR_NAMESPACE = "observability"
COLLECTOR_PORT = 4318
PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"]


def policies() -> list[Manifest]:
    """Return the policies of the base; those towards Kafka are the components' that run it."""
    services = [workload.name for workload in WORKLOADS]
    models = [*services_that_import("limoflow.inference.triton"), "cli"]
    return [
        _policy("default-deny", {}, ["Ingress", "Egress"]),
        _policy("names", {}, ["Egress"], egress=[_names()]),
        _policy(
            "kafka-clients",
            _pods([*services, "cli"]),
            ["Egress"],
            egress=[{"to": [_brokers()], "ports": _tcp(*KAFKA_PORTS)}],
        ),
        _policy(
            "models-clients",
            _pods(models),
            ["Egress"],
            egress=[{"to": [{"podSelector": _pods(["triton"])}], "ports": _tcp(TRITON_PORT)}],
        ),
        _policy(
            "models-server",
            _pods(["triton"]),
            ["Ingress"],
            ingress=[{"from": [{"podSelector": _pods(models)}], "ports": _tcp(TRITON_PORT)}],
        ),
        _policy("outside", _pods(_speak_outside()), ["Egress"], egress=[_outside()]),
        _policy(
            "scrapes",
            _pods([*services, "triton"]),
            ["Ingress"],
            ingress=[{"from": [_namespace("monitoring")], "ports": _tcp(PORT, TRITON_METRICS_PORT)}],
        ),
    ]


def tracing_policies() -> list[Manifest]:
    """Return the edge of every service to the collector of traces."""
    services = [workload.name for workload in WORKLOADS]
    edge = {"to": [_namespace(COLLECTOR_NAMESPACE)], "ports": _tcp(COLLECTOR_PORT)}
    return [_policy("traces", _pods(services), ["Egress"], egress=[edge])]


def private_policies() -> list[Manifest]:
    """Return, as an example, an edge to one private address: of a chat endpoint or an object store."""
    edge = {"to": [{"ipBlock": {"cidr": "10.0.0.10/32"}}], "ports": _tcp(443)}
    return [_policy("private-endpoints", _pods(_speak_outside()), ["Egress"], egress=[edge])]


def _speak_outside() -> list[str]:
    # The ingestor reads object stores, and so does who plans a run.
    return sorted({*services_that_import("limoflow.inference.endpoint"), "ingestor", "cli"})


def _policy(name: str, pods: Manifest, kinds: list[str], **rules: list[Manifest]) -> Manifest:
    spec = {"podSelector": pods, "policyTypes": kinds, **rules}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


def _pods(names: list[str]) -> Manifest:
    return {"matchExpressions": [{"key": NAME, "operator": "In", "values": names}]}


def _brokers() -> Manifest:
    return {"podSelector": {"matchLabels": {"limoflow/role": "kafka"}}}


def _namespace(name: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _tcp(*ports: int) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _names() -> Manifest:
    return {"to": [_namespace("kube-system")], "ports": [{"protocol": kind, "port": 53} for kind in ("UDP", "TCP")]}


def _outside() -> Manifest:
    return {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE}}], "ports": _tcp(443)}
