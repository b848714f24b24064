"""What others made, and limoflow installs: each with a licence that it may use, and none of it unlocked."""

from __future__ import annotations

import re

import pytest

from deploy import licences
from deploy.licences import ENVIRONMENTS, NVIDIA, PAGE, ROOT, everything, locked, problems

SERVICES = ("cli", "exporter", "generator", "ingestor", "scorer", "selector", "verifier")


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    missing = [name for name, folder in ENVIRONMENTS.items() if not folder.is_dir()]
    if missing:
        pytest.skip(f"needs the environments {', '.join(missing)}: make venv venv-triton")
    return everything()


def test_every_licence_is_one_that_may_be_used(found: dict[str, str]):
    assert list(problems(found)) == []


def test_the_committed_list_is_the_installed_one(found: dict[str, str]):
    assert PAGE.read_text(encoding="utf-8") == licences.page(found), "run python -m deploy.licences"


def test_every_image_is_covered(found: dict[str, str]):
    for name in (*SERVICES, "trainer"):
        assert locked(name) <= {*found}, name


@pytest.mark.parametrize("said", ["GPL-3.0-only", "AGPL-3.0", "GNU General Public License v3 (GPLv3)", "unknown"])
def test_licences_that_may_not_be_used_are_recognised(said: str):
    assert list(problems({"thing": said}))


def test_only_images_with_torch_hold_proprietary_libraries():
    for name in SERVICES:
        assert not [one for one in locked(name) if one.startswith(NVIDIA)]


def test_every_lock_pins_by_hash_and_names_no_index():
    for path in (ROOT / "requirements").glob("*.lock"):
        text = path.read_text(encoding="utf-8")
        pinned = re.findall(r"(?m)^[\w.-]+(?:\[[\w,-]+\])?==\S+.*(?:\n    --hash=\S+.*)+", text)
        assert len(pinned) == len(re.findall(r"(?m)^[\w.-]+(?:\[[\w,-]+\])?==", text)) > 0, path.name
        assert "://" not in re.sub(r"#.*", "", text), path.name
