"""What the generated manifests have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limoflow.stream.settings import BrokerSettings

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
VERSION = "0.1.0"
PORT = 9400
USER = 10001
HOME = "/var/lib/limoflow"
CLUSTER = "limoflow"
NAMESPACE = "limoflow"
BROKER = BrokerSettings(partitions=12, replication_factor=3)

Manifest = dict[str, Any]


def labels(name: str) -> dict[str, str]:
    """Return the labels that select the pods of a workload."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "limoflow"}


def manifest(api: str, kind: str, name: str, spec: Manifest | None, **others: Any) -> Manifest:
    """Return an object of Kubernetes, labelled with its name."""
    made = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": labels(name)}}
    return {**made, **others, **({"spec": spec} if spec is not None else {})}


def services_that_import(module: str) -> list[str]:
    """Return the services whose code imports a module."""
    folders = sorted(path for path in (ROOT / "services").iterdir() if (path / "__main__.py").is_file())
    return [
        folder.name
        for folder in folders
        if any(f"from {module} import" in path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    ]
