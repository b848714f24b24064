"""Builds the project's images from its own Dockerfile, without a registry: Debian stands in for the base images."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.deploy.cluster.kept_images import is_kept
from tests.deploy.cluster.place import ROOT, folder

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
# What each argument of the Dockerfile names, as Debian packages.
BASES = {
    "PYTHON_IMAGE": ("python3", "python3-venv", "libpython3.11", "ca-certificates"),
    "JAVA_IMAGE": ("openjdk-17-jre-headless",),
    "MAVEN_IMAGE": ("openjdk-17-jdk-headless", "maven", "ca-certificates"),
}
# The layout of the images, which the node shares, and their layers unpacked in the node.
NEEDED_BYTES = 22 * 2**30
# How this machine reaches its package mirrors; the containers of the build see the same.
CLIENT_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/java/cacerts", "/etc/pip.conf", "/etc/hosts")


def buildah(*arguments: str, **options: object) -> str:
    """Run buildah on the folder's own storage and return what it prints.

    Raises
    ------
    RuntimeError
        When it fails; the message has the end of its output.
    """
    environment = {**os.environ, "STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}
    environment["TMPDIR"] = str(folder() / "tmp")
    Path(environment["TMPDIR"]).mkdir(parents=True, exist_ok=True)
    places = ("--root", str(folder() / "storage"), "--runroot", str(folder() / "storage-run"))
    done = subprocess.run(
        ["buildah", *places, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise RuntimeError(f"buildah {' '.join(arguments)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout.strip()


def pulled() -> Path:
    """Return the folder with what a node has of the images."""
    return folder() / "containerd"


def clear_leftovers() -> None:
    """Remove what builds that were cut short left: containers and half-written layers, with torch in them many GB."""
    buildah("rm", "--all")
    for path in (folder() / "tmp").iterdir():
        # The cache mounts of the Dockerfile lie here too.
        if not path.name.startswith("buildah-cache"):
            shutil.rmtree(path)
    layout = sum(path.stat().st_size for path in (folder() / "layout").rglob("*") if path.is_file())
    held = 2 * layout if is_kept(pulled()) else layout
    if shutil.disk_usage(folder()).free + held < NEEDED_BYTES:
        # Layers of earlier builds; those of the tagged images stay.
        buildah("rmi", "--prune", "--force")


def base_names() -> dict[str, str]:
    """Return the default of each base argument of the Dockerfile."""
    found = dict(re.findall(r"(?m)^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE.read_text(encoding="utf-8")))
    return {argument: name for argument, name in found.items() if argument in BASES}


def ensure_bases() -> None:
    """Make the base images that the storage does not hold (about a minute each, once)."""
    there = buildah("images", "--format", "{{.Name}}:{{.Tag}}", "--noheading").splitlines()
    for argument, name in base_names().items():
        if f"docker.io/library/{name}" not in there:
            _make_base(f"docker.io/library/{name}", BASES[argument])


def _make_base(name: str, packages: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:
        root = Path(scratch) / "root"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", str(root)],
            check=True,
        )
        if (root / "usr/bin/python3").exists():
            (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        for unneeded in ("var/cache/apt", "usr/share/doc", "usr/share/locale"):
            shutil.rmtree(root / unneeded, ignore_errors=True)
        container = buildah("from", "scratch")
        try:
            buildah("add", "--quiet", container, str(root), "/")
            buildah("commit", "--quiet", container, name)
        finally:
            buildah("rm", container)


def has_torch(name: str) -> bool:
    """Whether an image has the layer with torch, which is made once."""
    return re.search(rf"(?m)^FROM torch AS {_target(name)}$", DOCKERFILE.read_text(encoding="utf-8")) is not None


def build(name: str) -> None:
    """Build an image of the Dockerfile; what has not changed comes from the storage."""
    volumes = [f"--volume={path}:{path}:ro" for path in CLIENT_FILES if Path(path).exists()]
    arguments = ("--pull-never", "--layers", "--quiet", f"--target={_target(name)}", f"--tag={name}", "--format=oci")
    buildah("bud", *arguments, *volumes, f"--file={DOCKERFILE}", str(ROOT))


def _target(name: str) -> str:
    return name.removeprefix("limoflow/").partition(":")[0]


def save(tags: list[str]) -> Path:
    """Return a folder with the images in the OCI layout, each layer once; it stays, so only what is new is written.

    Layers are not compressed: their names are then known beforehand, and the node unpacks them sooner.
    """
    layout = folder() / "layout"
    # The index grows with each push; blobs that are there already are not written again.
    (layout / "index.json").unlink(missing_ok=True)
    for tag in tags:
        source = f"containers-storage:[overlay@{folder() / 'storage'}+{folder() / 'storage-run'}]localhost/{tag}"
        options = ("--quiet", "--dest-oci-accept-uncompressed-layers")
        subprocess.run(["skopeo", "copy", *options, source, f"oci:{layout}:docker.io/{tag}"], check=True)
    index = json.loads((layout / "index.json").read_bytes())
    wanted = set[str]()
    for image in index["manifests"]:
        manifest = json.loads(_blob(layout, image["digest"]).read_bytes())
        wanted |= {image["digest"], manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    for path in (layout / "blobs" / "sha256").iterdir():
        if f"sha256:{path.name}" not in wanted:
            path.unlink()
    return layout


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")
