"""Shares become whole numbers: largest remainder (Hamilton), capped at what is there, the rest redistributed."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

Axis = Literal["domain", "difficulty"]


def apportion(total: int, shares: Mapping[str, float], available: Mapping[str, int]) -> dict[str, int]:
    """Divide `total` by `shares`, giving no name more than is available of it.

    Parameters
    ----------
    total : int
        How many to give out.
    shares : mapping
        Non-negative weights; they need not add up to 1. A name with a share of 0, or with none, gets nothing.
    available : mapping
        The cap of each name.

    Returns
    -------
    dict
        A count for each name of `available`. They add up to `total`, or to less when the names with a share run out.
        Equal remainders go to the smaller name.
    """
    given = dict.fromkeys(sorted(available), 0)
    open_names = {name for name in given if shares.get(name, 0.0) > 0.0 and available[name] > 0}
    left = total
    while left > 0 and open_names:
        capped = _grant(left, shares, open_names, given, available)
        left = total - sum(given.values())
        open_names -= capped
    return given


def spread_out(total: int, shares: Mapping[str, float], available: Mapping[str, int]) -> dict[str, int]:
    """Divide `total` by shares that nobody asked for: a share of 0 does not mean none, it says who comes last.

    What those with a share cannot take goes to the others by what is available.
    """
    given = apportion(total, shares, available)
    room = {name: available[name] - count for name, count in given.items()}
    rest = apportion(total - sum(given.values()), room, room)
    return {name: count + rest[name] for name, count in given.items()}


def _grant(
    left: int, shares: Mapping[str, float], names: set[str], given: dict[str, int], available: Mapping[str, int]
) -> set[str]:
    """Give out one round; return the names that are full. Those that would burst are filled first, alone."""
    exact = _exact_parts(left, shares, names)
    bursting = {name for name in names if exact[name] >= available[name] - given[name]}
    if bursting:
        for name in bursting:
            given[name] = available[name]
        return bursting
    for name, count in _largest_remainder(left, exact).items():
        given[name] += count
    return {name for name in names if given[name] >= available[name]}


def _exact_parts(left: int, shares: Mapping[str, float], names: set[str]) -> dict[str, Fraction]:
    # Fractions, because the sum of floats depends on their order, and a remainder decides who gets the last one.
    whole = sum((Fraction(shares[name]) for name in names), Fraction(0))
    return {name: left * Fraction(shares[name]) / whole for name in names}


def _largest_remainder(left: int, exact: Mapping[str, Fraction]) -> dict[str, int]:
    floors = {name: int(part) for name, part in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (floors[name] - exact[name], name))
    for name in by_remainder[: left - sum(floors.values())]:
        floors[name] += 1
    return floors


def stratum_quotas(
    target: int, quotas: Mapping[Axis, Mapping[str, float]], available: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], int]:
    """Divide a target over (domain, difficulty) strata.

    The domains are divided first, then the difficulties within each domain, so domain shares hold wherever the domain
    has enough and difficulty shares as far as its samples allow. An axis without quotas follows what is available.

    Parameters
    ----------
    target : int
    quotas : mapping
        `{"domain": shares, "difficulty": shares}`, either may be missing or empty.
    available : mapping
        Samples of each stratum.
    """
    by_domain: dict[str, dict[str, int]] = {}
    for (domain, difficulty), count in available.items():
        by_domain.setdefault(domain, {})[difficulty] = count
    domain_sizes = {domain: _within_shares(sizes, quotas.get("difficulty")) for domain, sizes in by_domain.items()}
    domains = apportion(target, quotas.get("domain") or domain_sizes, domain_sizes)
    return {
        (domain, difficulty): count
        for domain, sizes in sorted(by_domain.items())
        for difficulty, count in apportion(domains[domain], quotas.get("difficulty") or sizes, sizes).items()
    }


def _within_shares(sizes: Mapping[str, int], shares: Mapping[str, float] | None) -> int:
    """Return how many of a domain can be taken at all: difficulties without a share are not."""
    return sum(count for difficulty, count in sizes.items() if not shares or shares.get(difficulty, 0.0) > 0.0)
