"""Which waiting runs start now: a pure function of who waits, who runs and what the tenants may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.run import Run
from services.ingestor.tenants import Quota, Tenants, named, over_quota


class Admitted(NamedTuple):
    """The run starts; at most `max_rows` rows of it are read."""

    max_rows: int | None


class Waiting(NamedTuple):
    """The run waits for a place."""

    reason: str


class Refused(NamedTuple):
    """The run never starts as it is."""

    reason: str


Decision = Admitted | Waiting | Refused


def decide(waiting: Sequence[Run], running: Mapping[str, str | None], tenants: Tenants) -> dict[str, Decision]:
    """Decide on every waiting run.

    Parameters
    ----------
    waiting : sequence of Run
        In the order in which they were submitted.
    running : mapping of str to (str or None)
        The tenant of each run that has begun and has not made its last release.

    Returns
    -------
    dict of str to Decision
        By run id. Higher priority first, then the earlier; a run whose tenant has no place left keeps no other waiting.
    """
    decisions: dict[str, Decision] = {}
    places = Counter(running.values())
    names = {tenant: sorted(run for run, of in running.items() if of == tenant) for tenant in places}
    fit: list[tuple[Run, Quota]] = []
    for run in waiting:
        if run.state == "stopping":
            decisions[run.run_id] = Refused("it was stopped before it began; `limoflow run --fresh` begins another")
            continue
        quota, reason = tenants.quota(run.spec.tenant), over_quota(run.spec, tenants)
        if quota is None or reason is not None:
            decisions[run.run_id] = Refused(reason or "")
        else:
            fit.append((run, quota))
    # A stable sort: of equal priority the earlier stays first.
    for run, quota in sorted(fit, key=lambda one: -one[1].priority):
        tenant = run.spec.tenant
        if quota.max_running is not None and places[tenant] >= quota.max_running:
            held = f"{places[tenant]} of at most {quota.max_running} runs of {named(tenant)} are under way"
            decisions[run.run_id] = Waiting(_until(held, names.get(tenant, [])))
        elif tenants.max_running is not None and places.total() >= tenants.max_running:
            held = f"{places.total()} of at most {tenants.max_running} runs of the installation are under way"
            decisions[run.run_id] = Waiting(_until(held, [one for of in names.values() for one in of]))
        else:
            decisions[run.run_id] = Admitted(quota.max_rows)
            places[tenant] += 1
            names.setdefault(tenant, []).append(run.run_id)
    return decisions


def _until(held: str, running: Sequence[str]) -> str:
    return f"{held} (max_running); it starts when one of them has its last release: {', '.join(sorted(running)[:8])}"
