"""What the Prometheus operator needs: pods to scrape, and the rules of deploy/prometheus."""

from __future__ import annotations

from typing import Any

import yaml

from deploy.k8s.common import ROOT, Manifest, labels
from deploy.k8s.workloads import WORKLOADS

RULES = ROOT / "deploy" / "prometheus"
DASHBOARDS = ROOT / "deploy" / "grafana"


def monitors() -> list[Manifest]:
    """Return the PodMonitors of the services and of Triton."""
    names = [workload.name for workload in WORKLOADS]
    return [_monitor("limoflow", names, "http"), _monitor("triton", ["triton"], "metrics")]


def rules() -> list[Manifest]:
    """Return every file with rule groups as a PrometheusRule of the same name."""
    made = []
    for path in sorted(RULES.glob("*.yaml")):
        document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "groups" in document:
            metadata = {"name": f"limoflow-{path.stem}", "labels": {"app.kubernetes.io/part-of": "limoflow"}}
            made.append(
                {
                    "apiVersion": "monitoring.coreos.com/v1",
                    "kind": "PrometheusRule",
                    "metadata": metadata,
                    "spec": {"groups": document["groups"]},
                }
            )
    return made


def dashboards() -> Manifest:
    """Return the kustomization beside the dashboards, which makes a ConfigMap of each."""
    generators = [
        {"name": f"dashboard-{path.stem}", "files": [path.name]} for path in sorted(DASHBOARDS.glob("*.json"))
    ]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        # Grafana's sidecar finds them by this label.
        "generatorOptions": {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}},
        "configMapGenerator": generators,
    }


def _monitor(name: str, pods: list[str], port: str) -> Manifest:
    selector = {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": pods}]}
    # Else the operator says `namespace/name`, which no rule of deploy/prometheus asks for.
    job = {"targetLabel": "job", "replacement": name}
    spec = {
        "selector": selector,
        "podMetricsEndpoints": [{"port": port, "path": "/metrics", "interval": "15s", "relabelings": [job]}],
        "podTargetLabels": ["app.kubernetes.io/name"],
    }
    metadata = {"name": name, "labels": labels(name)}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": metadata, "spec": spec}
