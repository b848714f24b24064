"""The Dockerfile, the locks and the services belong together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from limoflow.wiring.stack import SERVICES

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
TARGETS = (*SERVICES, "triton", "triton-ngc", "kafka", "cli")
LOCKED = (*SERVICES, "triton", "triton-ngc", "cli")
# The trainer and Triton share a layer with torch.
BESIDE_TORCH = ("trainer", "triton")


def stages() -> dict[str, str]:
    """Text of each stage by name."""
    parts = re.split(r"(?m)^FROM \S+ AS (\S+)$", DOCKERFILE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9][a-z0-9._-]*)==(\S+)", text))


def test_there_is_a_target_for_each_image_of_the_cluster_and_an_image_for_each_target():
    used = set()
    for path in (ROOT / "deploy" / "k8s").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"image: (limoflow/\S+)", text))
        used |= {f"{name}:{tag}" for name, tag in re.findall(r"newName: (limoflow/\S+), newTag: ([^}\s]+)", text)}
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert version is not None
    assert used == {f"limoflow/{name}:{version[1]}" for name in TARGETS}
    assert set(TARGETS) <= set(stages())


def test_the_wheel_finds_in_the_image_what_it_is_made_of():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    context = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for part in (*wheel["packages"], *wheel["force-include"]):
        assert f"COPY {part} {part}\n" in stages()["code"]
        assert f"!{part}" in context


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_image_runs_its_service_from_its_own_lock(name):
    part = " beside" if name in BESIDE_TORCH else ""
    assert f'ENTRYPOINT ["python", "-m", "services.{name}"]' in stages()[name]
    assert f"environment {name}{part}\n" in stages()[f"{name}-environment"]
    assert f"COPY --from={name}-environment /opt/limoflow /opt/limoflow" in stages()[name]
    assert "COPY --from=code /opt/code /opt/code" in stages()[name]


def test_images_run_without_rights_and_without_build_tools():
    assert "USER 10001:10001" in stages()["runtime"]
    assert re.findall(r"(?m)^USER (.+)$", stages()["torch"])[-1] == "10001:10001"
    for name in TARGETS:
        assert "/opt/build" not in stages()[name]
        assert not re.search(r"(?m)^RUN ", stages()[name])
        assert set(re.findall(r"(?m)^USER (.+)$", stages()[name])) <= {"10001:10001"}


def test_the_trainer_and_triton_agree_on_the_layer_that_they_share():
    heavy = re.compile(r"torch|cuda-[a-z]+|nvidia-(?!pytriton)[a-z0-9-]+")
    trainer, triton = (
        {name: version for name, version in pins(lock).items() if heavy.fullmatch(name)} for lock in BESIDE_TORCH
    )
    assert "torch" in trainer
    assert trainer == triton


def test_no_address_of_a_registry_is_written_down():
    folders = (ROOT / "deploy" / "docker", ROOT / "deploy" / "k8s", ROOT / "requirements")
    for path in (one for folder in folders for one in folder.rglob("*") if one.is_file() and one.suffix != ".pyc"):
        text = path.read_text(encoding="utf-8")
        # Addresses inside a cluster have one dot: service and namespace.
        assert not re.search(r"--(extra-)?index-url|https?://(?![\w-]+\.[\w-]+:\d)", text), path
    for image in re.findall(r"(?m)^(?:FROM |ARG \w+_IMAGE=)\s*(\S+)", DOCKERFILE):
        assert "." not in image.partition("/")[0].partition(":")[0], image


@pytest.mark.parametrize("name", [*LOCKED, "build", "app"])
def test_locks_have_hashes_and_belong_to_an_image(name):
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    assert pins(name)
    assert len(re.findall(r"(?m)^[a-z0-9][a-z0-9._-]*==\S+ \\\n    --hash=sha256:", text)) == len(pins(name))
    assert name in {"app", "build"} or name in stages()


@pytest.mark.parametrize("name", [*SERVICES, "cli"])
def test_a_service_runs_the_versions_that_the_tests_ran(name):
    tested = pins("app")
    different = {package: version for package, version in pins(name).items() if tested.get(package) != version}
    assert different == {}


@pytest.mark.parametrize("name", [service for service in SERVICES if service != "trainer"])
def test_only_the_trainer_carries_torch(name):
    assert "torch" not in pins(name)
    assert "torch" in pins("trainer")
    assert "faust-streaming" not in pins("exporter")
