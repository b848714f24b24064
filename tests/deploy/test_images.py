"""The Dockerfile, the locks and the services belong together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from limoflow.wiring.stack import SERVICES

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
TARGETS = (*SERVICES, "triton", "cli")


def stages() -> dict[str, str]:
    """Text of each stage by name."""
    parts = re.split(r"(?m)^FROM \S+ AS (\S+)$", DOCKERFILE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9][a-z0-9._-]*)==(\S+)", text))


def test_there_is_a_target_for_each_image_of_the_cluster():
    used = set()
    for path in (ROOT / "deploy" / "k8s" / "base").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            pod = document.get("spec", {}).get("template", {}).get("spec", {})
            used |= {container["image"] for container in pod.get("containers", [])}
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert version is not None
    assert used == {f"limoflow/{name}:{version[1]}" for name in TARGETS if name != "cli"}
    assert set(TARGETS) <= set(stages())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_image_runs_its_service_from_its_own_lock(name):
    assert f'ENTRYPOINT ["python", "-m", "services.{name}"]' in stages()[name]
    assert f"RUN environment {name}\n" in stages()[f"{name}-environment"]
    assert f"COPY --from={name}-environment /opt/limoflow /opt/limoflow" in stages()[name]


def test_images_run_without_rights_and_without_build_tools():
    assert "USER 10001:10001" in stages()["runtime"]
    for name in TARGETS:
        assert "/opt/build" not in stages()[name]
        assert not re.search(r"(?m)^(USER|RUN) ", stages()[name])


def test_no_address_of_a_registry_is_written_down():
    folders = (ROOT / "deploy" / "docker", ROOT / "deploy" / "k8s", ROOT / "requirements")
    for path in (one for folder in folders for one in folder.rglob("*") if one.is_file() and one.suffix != ".pyc"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"--(extra-)?index-url|https?://", text), path
    for image in re.findall(r"(?m)^(?:FROM|ARG PYTHON_IMAGE=)\s*(\S+)", DOCKERFILE):
        assert "." not in image.partition("/")[0].partition(":")[0], image


@pytest.mark.parametrize("name", [*TARGETS, "build", "app"])
def test_locks_have_hashes_and_belong_to_an_image(name):
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    assert pins(name)
    assert len(re.findall(r"(?m)^[a-z0-9][a-z0-9._-]*==\S+ \\\n    --hash=sha256:", text)) == len(pins(name))
    assert name == "app" or name == "build" or name in stages()


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
