"""KEDA's objects: workers follow the lag of their consumer group, up to the partitions of its topic."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.k8s.common import BROKER, CLUSTER, NAMESPACE, Manifest
from deploy.k8s.workloads import WORKLOADS
from schemas.topics import topics


@dataclass(frozen=True, slots=True)
class Scale:
    """How one service is scaled.

    Attributes
    ----------
    topic : str
        What it consumes, in the group of its own name.
    lag : int
        Records for each worker: about ten seconds of the measured rate.
    least : int
        Fewest workers.
    """

    service: str
    topic: str
    lag: int
    least: int = 1


SCALES = (
    Scale("generator", "samples.raw", 5000),
    Scale("verifier", "samples.candidate", 2000),
    Scale("scorer", "samples.verified", 2000),
    Scale("selector", "samples.scored", 20000),
    Scale("trainer", "releases", 1, least=0),
)
TRIGGER_AUTHENTICATION = "kafka"
# The scaler asks from a namespace of its own; transformers/namespace puts another one's name here.
BOOTSTRAP = f"{CLUSTER}-kafka-bootstrap.{NAMESPACE}.svc:9093"
# The oldest protocol that brokers of version 4 speak; by itself the scaler speaks that of 1.0.
PROTOCOL = "2.1.0"


def scaled_objects() -> list[Manifest]:
    """Return how the scaler signs in, and one ScaledObject for each of `SCALES`."""
    return [_authentication(), *(_scaled(scale) for scale in SCALES)]


def _scaled(scale: Scale) -> Manifest:
    workload = next(one for one in WORKLOADS if one.name == scale.service)
    partitions = topics()[scale.topic].partitions
    ceiling = BROKER.partitions if partitions == "work" else partitions
    metadata = {
        "bootstrapServers": BOOTSTRAP,
        "consumerGroup": scale.service,
        "topic": scale.topic,
        "lagThreshold": str(scale.lag),
        "offsetResetPolicy": "earliest",
        "version": PROTOCOL,
    }
    kafka = {"type": "kafka", "metadata": metadata, "authenticationRef": {"name": TRIGGER_AUTHENTICATION}}
    spec = {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet" if workload.stateful else "Deployment",
            "name": scale.service,
        },
        "minReplicaCount": scale.least,
        "maxReplicaCount": ceiling,
        "pollingInterval": 15,
        "cooldownPeriod": 600,
        "triggers": [kafka],
    }
    if ceiling > 1:
        # Every change of the number of workers moves partitions: be slow to give workers up.
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 600}}
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": scale.service},
        "spec": spec,
    }


def _authentication() -> Manifest:
    def reference(parameter: str, name: str, key: str) -> Manifest:
        return {"parameter": parameter, "name": name, "key": key}

    settings = [reference(name, "scaler-kafka", name) for name in ("sasl", "username", "tls")]
    secrets = [
        reference("password", f"{CLUSTER}-scaler", "password"),
        reference("ca", f"{CLUSTER}-cluster-ca-cert", "ca.crt"),
    ]
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": TRIGGER_AUTHENTICATION},
        "spec": {"configMapTargetRef": settings, "secretTargetRef": secrets},
    }
