"""The programs and images that the cluster needs, kept in one folder of the user's cache."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "coredns",
)
SYSTEM_PROGRAMS = (
    "containerd",
    "runc",
    "ctr",
    "buildah",
    "skopeo",
    "mmdebstrap",
    "nsenter",
    "unshare",
    "setpriv",
    "iptables",
)
PAUSE = "localhost/pause:1"


def folder() -> Path:
    """Return `$K8S_DIR`, else the folder `limoflow-k8s` of the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("K8S_DIR") or cache / "limoflow-k8s")


def program(name: str) -> str | None:
    """Return the path of a program of the folder, else of the search path."""
    return shutil.which(name, path=f"{folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}")


def missing(*, node: bool) -> str | None:
    """Tell what stands in the way of an API server (or, with `node`, of pods); None where nothing does."""
    wanted = (*PROGRAMS, *SYSTEM_PROGRAMS) if node else ("etcd", "kube-apiserver", "kubectl")
    lacking = [name for name in wanted if program(name) is None]
    if lacking:
        return (
            f"{', '.join(lacking)} missing: put them into {folder() / 'bin'} or on the PATH (docs/operate/testing.md)"
        )
    if node and (sys.platform != "linux" or os.geteuid() != 0):
        return "needs Linux and root: the node makes network namespaces and control groups"
    if node and not Path("/sys/fs/cgroup/memory").is_dir():
        return "the control groups are not of version 1 (/sys/fs/cgroup/memory), which is what this node was made for"
    if node and not (folder() / "img" / "localhost_pause_1.tar").is_file():
        return f"{folder() / 'img' / 'localhost_pause_1.tar'} missing: the image of the pause container"
    return None
