"""The volumes that docs/operate/scale.md names hold what is kept; the amounts are those of benchmarks.scale."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale.retention import A_SAMPLE, disk, kept
from tests.deploy.documents import built_beside, named, overlay
from tests.deploy.test_operate_docs import PAGES, kustomizations

PAGE = PAGES["scale.md"]
GIBIBYTE = 2**30
ROWS = re.findall(r"(?m)^\| ([\d,]+)( million)? \| [\d.]+/s \|.*\| (\d+)Gi \| [\d.]+ [GT]B \|$", PAGE)


def volume(documents: list[dict[str, Any]]) -> int:
    """Bytes of each broker's volume."""
    (described,) = named(documents, "KafkaNodePool")["nodes"]["spec"]["storage"]["volumes"]
    return int(described["size"].removesuffix("Gi")) * GIBIBYTE


def held(samples_a_day: float) -> float:
    """Bytes of a broker with one replica of everything, each topic's newest segment as old as it becomes."""
    config = named(overlay("production"), "Kafka")["limoflow"]["spec"]["kafka"]["config"]
    hours = config.get("log.roll.hours", 168)
    return disk(samples_a_day, 1) + kept(samples_a_day, sum(A_SAMPLE.values()), hours, 1)


def samples_of(number: str, unit: str) -> float:
    return float(number.replace(",", "")) * (1e6 if unit else 1)


def test_each_row_names_a_volume_that_holds_it_with_a_fifth_to_spare():
    assert len(ROWS) == 3
    for number, unit, size in ROWS:
        assert 0.6 < held(samples_of(number, unit)) / (int(size) * GIBIBYTE) < 0.8


def test_what_the_production_overlay_holds_is_said():
    said = re.search(r"([\d.]+) million samples a day with a fifth to spare, and full at ([\d.]+) million", PAGE)
    assert said is not None
    size = volume(overlay("production"))
    assert held(float(said[1]) * 1e6) <= 0.8 * size
    assert held(float(said[2]) * 1e6) == pytest.approx(size, rel=0.05)


def test_the_disk_with_rejected_samples_kept_for_a_week_is_said():
    said = re.search(r"at 7 days like\s+the others the last line is ([\d.]+) TB", PAGE)
    assert said is not None
    assert f"{kept(1e7, sum(A_SAMPLE.values()), 168) / 1e12:.1f}" == said[1]


def test_a_larger_volume_is_a_patch(tmp_path: Path):
    (own,) = kustomizations("scale.md")
    sizes = {samples_of(number, unit): int(size) * GIBIBYTE for number, unit, size in ROWS}
    assert volume(built_beside("overlays/own", own, tmp_path)) == sizes[1e6]
