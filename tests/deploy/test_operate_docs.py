"""The commands in docs/operate name what there is: folders, targets, subcommands, workloads."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import yaml
from typer.main import get_command

from limoflow.cli.main import app
from services.ingestor.tenants import Quota, Tenants
from tests.deploy.cluster.place import ROOT
from tests.deploy.cluster.scenario import documented
from tests.deploy.documents import built, built_beside, named, overlay, workloads
from tests.deploy.test_images import TARGETS

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "operate").glob("*.md")}
TEXT = "\n".join(PAGES.values())


def commands() -> list[str]:
    """Indented lines, and what stands between backticks."""
    return re.findall(r"(?m)^    (\S.*)$", TEXT) + re.findall(r"`([^`\n]+)`", TEXT)


def kustomizations(page: str) -> list[str]:
    """Return the kustomizations that a page shows."""
    blocks = re.findall(r"(?m)(?:^    .+\n)+", PAGES[page])
    return [textwrap.dedent(block) for block in blocks if block.lstrip().startswith("resources:")]


def all_of(pattern: str) -> set[str]:
    return {found for command in commands() for found in re.findall(pattern, command)}


def test_every_page_is_listed_and_every_link_leads_somewhere():
    for name in PAGES:
        assert name == "README.md" or f"]({name})" in PAGES["README.md"]
    for name in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / "operate" / name).exists(), name


def test_folders_and_files_exist():
    for path in all_of(r"(?:-k|--file) (deploy/\S+)") | all_of(r"^((?:deploy|benchmarks|docs)/[\w./-]+)$"):
        assert (ROOT / path).exists(), path


def test_targets_of_images_and_of_make_exist():
    images = all_of(r"--target (\w[\w-]*)") | set(" ".join(all_of(r"for name in ([\w -]+); do")).split())
    assert images <= set(TARGETS)
    assert set(TARGETS) <= images, "an image that install.md does not build"
    made = all_of(r"^make ([\w-]+)$")
    assert made <= set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))


def test_subcommands_exist():
    known = get_command(app)
    for words in all_of(r"^limoflow ([a-z]+(?: [a-z]+)?)"):
        first, _, second = words.partition(" ")
        command = known.commands[first]  # type: ignore[attr-defined]
        assert not second or second in command.commands, words


def test_workloads_exist():
    known = workloads(overlay("laptop"))
    assert all_of(r"\b(?:deployment|statefulset)/([\w-]+)") | all_of(r"app.kubernetes.io/name=(\w+)") <= set(known)
    for folder, kind in (("jobs/demo", "Job"), ("jobs/cli", "Pod")):
        there = set(named(list(yaml.safe_load_all(built(folder))), kind))
        assert all_of(rf"\b{kind.lower()}/([\w-]+)") == there


def test_the_example_of_tenants_holds_and_its_keys_are_all_that_the_code_knows():
    (text,) = re.findall(r"(?s)```yaml\n# tenants.yaml\n(.*?)```", PAGES["tenants.md"])
    known = Tenants.model_validate(yaml.safe_load(text))
    shown = set().union(*(quota.model_fields_set for quota in known.tenants.values()))
    assert shown == set(Quota.model_fields)
    assert known.model_fields_set == set(Tenants.model_fields)


def test_the_node_of_one_machine_is_asked_for_nothing_that_needs_operators():
    wanted = [
        command for command in documented() if re.search(r"production|scaledobject|kafkas?(/|\b.*strimzi)", command)
    ]
    assert wanted == []


def test_a_restore_begins_with_a_broker_that_waits_and_workers_at_nothing(tmp_path: Path):
    (own,) = kustomizations("backup.md")
    documents = built_beside("overlays/own", own, tmp_path)
    (kafka,) = named(documents, "Kafka").values()
    assert kafka["metadata"]["annotations"] == {"strimzi.io/pause-reconciliation": "true"}
    for scaled in named(documents, "ScaledObject").values():
        assert scaled["metadata"]["annotations"] == {"autoscaling.keda.sh/paused-replicas": "0"}
    assert {one["spec"]["replicas"] for one in workloads(documents).values()} == {0}


def test_what_the_scaler_does_not_own_is_stopped_beside_it():
    owned = set(named(overlay("production"), "ScaledObject"))
    (command,) = [one for one in commands() if one.startswith("kubectl -n limoflow scale statefulset/")]
    assert set(re.findall(r"\w+/(\w+)", command)) == set(workloads(overlay("production"))) - owned


def test_an_upgrade_is_of_the_readers_own_overlay():
    assert "overlays/production" not in PAGES["upgrade.md"]
    assert "kubectl apply -k YOUR-OVERLAY" in PAGES["upgrade.md"]
