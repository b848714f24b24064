"""Writes the generated manifests: what follows from the services, schemas/topics.yaml and the rules of Prometheus.

Usage: python -m deploy.k8s.generate
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from deploy.k8s.common import FOLDER, Manifest
from deploy.k8s.kafka import cli_patch, credential_patches, job_patch, topic_manifests, user_manifests
from deploy.k8s.monitoring import DASHBOARDS, dashboards, monitors, rules
from deploy.k8s.network import policies, private_policies, tracing_policies
from deploy.k8s.scaling import scaled_objects
from deploy.k8s.workloads import WORKLOADS, tenants_file, workload_manifests

HEAD = "# Written by deploy/k8s/generate.py; change that, and run it.\n"


def documents() -> dict[Path, Sequence[Manifest]]:
    """Return the documents of every generated file."""
    components = FOLDER / "components"
    return {
        **{FOLDER / "base" / f"{one.name}.yaml": workload_manifests(one) for one in WORKLOADS},
        FOLDER / "base" / "network.yaml": policies(),
        FOLDER / "base" / "tenants.yaml": [tenants_file()],
        components / "kafka-strimzi" / "topics.yaml": topic_manifests(),
        components / "kafka-strimzi" / "users.yaml": user_manifests(),
        components / "kafka-strimzi" / "credentials.yaml": credential_patches(),
        FOLDER / "jobs" / "production" / "credentials.yaml": [job_patch()],
        FOLDER / "jobs" / "production-cli" / "credentials.yaml": [cli_patch()],
        components / "autoscaling" / "scaled-objects.yaml": scaled_objects(),
        components / "tracing" / "network.yaml": tracing_policies(),
        components / "private-endpoints" / "network.yaml": private_policies(),
        components / "monitoring" / "monitors.yaml": monitors(),
        components / "monitoring" / "rules.yaml": rules(),
        DASHBOARDS / "kustomization.yaml": [dashboards()],
    }


def texts() -> dict[Path, str]:
    """Return the text of every generated file."""
    return {path: HEAD + yaml.safe_dump_all(made, sort_keys=False) for path, made in documents().items()}


if __name__ == "__main__":
    for target, text in texts().items():
        target.write_text(text, encoding="utf-8")
