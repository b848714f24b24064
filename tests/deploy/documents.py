"""The manifests as documents: what the files say, and what an overlay makes of them."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cluster.place import ROOT, program

K8S = ROOT / "deploy" / "k8s"
CRDS = ROOT.parent / "shared" / "data" / "k8s_crds"
OVERLAYS = ("laptop", "production", "gpu")

Document = dict[str, Any]


def written(folder: str) -> list[Document]:
    """Return every document in the files of a base or component, patches left out."""
    kustomization = yaml.safe_load((K8S / folder / "kustomization.yaml").read_text(encoding="utf-8"))
    names = [name for name in kustomization.get("resources", []) if name.endswith(".yaml")]
    return [
        document for name in names for document in yaml.safe_load_all((K8S / folder / name).read_text(encoding="utf-8"))
    ]


@cache
def built(folder: str) -> str:
    """Return an overlay or job as kustomize builds it; skips the test where there is no kustomize."""
    return _build(K8S / folder)


def built_beside(folder: str, kustomization: str, place: Path, **files: str) -> list[Document]:
    """Return what an operator's own kustomization makes of ours: its folder lies beside them, in a copy."""
    for name in ("k8s", "grafana"):
        shutil.copytree(K8S.parent / name, place / name)
    own = place / "k8s" / folder
    own.mkdir()
    for name, text in {"kustomization": kustomization, **files}.items():
        (own / f"{name}.yaml").write_text(text, encoding="utf-8")
    return list(yaml.safe_load_all(_build(own)))


def _build(folder: Path) -> str:
    kubectl, kustomize = program("kubectl"), program("kustomize")
    if kubectl is None and kustomize is None:
        pytest.skip("needs kubectl or kustomize on the PATH, or in the folder bin of $K8S_DIR")
    command = [kubectl, "kustomize"] if kubectl else [str(kustomize), "build"]
    return subprocess.run([*command, str(folder)], check=True, capture_output=True, text=True).stdout


def overlay(name: str) -> list[Document]:
    """Return the documents of an overlay."""
    return list(yaml.safe_load_all(built(f"overlays/{name}")))


def named(documents: list[Document], kind: str) -> dict[str, Document]:
    """Return the documents of one kind by name."""
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def workloads(documents: list[Document]) -> dict[str, Document]:
    """Return Deployments and StatefulSets by name."""
    return {**named(documents, "Deployment"), **named(documents, "StatefulSet")}


def container_of(workload: Document) -> Document:
    """Return a workload's only container."""
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def every_folder() -> list[str]:
    """Return the base, the components and the jobs."""
    return [
        str(path.parent.relative_to(K8S))
        for path in sorted(K8S.rglob("kustomization.yaml"))
        if path.parent.parent.name != "overlays"
    ]
