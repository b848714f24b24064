"""The soak's short form: pauses and a slow network, and every bound that so short a time can show.

The whole of it, with kills and for an hour, is `python -m benchmarks.soak` (docs/operate/testing.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.course import Plan, soak
from benchmarks.soak.feed import lake_lines
from benchmarks.soak.findings import figures
from benchmarks.soak.plan import Fault
from tests.support.small_model import small_model

RATE = 8.0
SECONDS = 30
FAULTS = [
    Fault(2.0, "slow", "network", 10.0, latency_s=0.1, bytes_per_s=1e6),
    Fault(3.0, "pause", "scorer", 4.0),
    Fault(10.0, "pause", "selector", 4.0),
    # Longer than the broker's session, so that it is fenced when it goes on.
    Fault(16.0, "pause", "kafka", 5.0),
]

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.triton]


@pytest.mark.timeout(900)
def test_pauses_and_a_slow_network_lose_nothing_and_leave_no_lag(tmp_path: Path) -> None:
    plan = Plan(
        lines=lake_lines(tmp_path / "lake", round(RATE * SECONDS), 1),
        faults=FAULTS,
        model=small_model(tmp_path),
        rate=RATE,
        window=100,
        target=20,
        compared=1,
        look_every_s=2.0,
    )

    outcome = soak(plan, tmp_path, tmp_path / "soak.csv")

    found = {figure.name: figure for figure in figures(outcome, RATE, warm_up_s=5.0)}
    assert [figure for figure in found.values() if figure.reached is False] == []
    assert outcome.suffered == {"slow": 1, "pause": 3}
    assert found["soak: windows made again, undisturbed"].value >= 1
    assert len(outcome.releases) >= 2
    assert outcome.passed_bytes > 1e6, "all traffic with the broker passes the slow network"
