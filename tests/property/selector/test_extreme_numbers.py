"""Whatever numbers a RunSpec holds: it is refused, or its windows close, within a bound of work."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.run import Run, RunSpec
from services.selector.candidate import Candidate, VectorSpace
from services.selector.choose import Elsewhere, close_window
from services.selector.picking import named_strategy
from services.selector.strategies.registry import GROUP, OWN, known_strategies, load_operator

CHAT = {"base_url": "http://h/v1", "model": "m", "requests_per_minute": 9, "tokens_per_minute": 9}
FULL: dict[str, Any] = RunSpec.model_validate(
    {
        "name": "x",
        "sources": [{"path": "x"}],
        "generate": {"strategies": [{"kind": "wording", "own": 1}], "chat": CHAT},
        "verify": {
            "checks": {"mine": {"least": 0.5}},
            "weights": {"mine": 1.0},
            "chat": CHAT,
            "decontaminate": {"benchmarks": ["b"], "neighbours": {}},
        },
        "score": {
            "chat": CHAT,
            "pass_rate": {},
            "learning": {},
            "weights": {"quality": 1.0, "complexity": 1.0},
            "thresholds": {"quality": {"least": 0.0, "most": 1.0, "below": 2.0}},
        },
        "select": {
            "window": {"count": 100},
            "target": 5,
            "minimum_match": 0.0,
            "quotas": {"domain": {"a": 1.0, "b": 0.5}, "difficulty": {"easy": 1.0, "hard": 1.0}},
            "mixing": {"kind": "scores", "file": "f"},
            "novelty": {"index": "i"},
            "curriculum": {"order": "baby_steps"},
        },
        "train": {},
    }
).canonical()
INTEGERS = [0, 1, -1, 10**4, 10**7, 10**12, 2**31, 2**63 - 1, 2**63, 2**64, 10**40]
FLOATS = [0.0, 5e-324, 1e-300, 1e-12, 0.01, 0.998, 1 - 2**-53, 1e12, 1e300, sys.float_info.max]
NUMBERS = [*INTEGERS, *FLOATS, -1e-12, -1e300]
MOST_CALLS = 2_000_000
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def numbers_below(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers_below(part, (*place, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place


PLACES = [*numbers_below(FULL), ("select", "window", "seconds")]
PARAMETERS = [
    (name, field)
    for name in known_strategies()
    for field, told in load_operator(GROUP, name, OWN).model_fields.items()
    if told.annotation in (int, float)
]


def changed(place: tuple[Any, ...], number: float) -> dict[str, Any]:
    spec = copy.deepcopy(FULL)
    if place[-1] == "seconds" and "window" in place:
        spec["select"]["window"] = {}
    part = spec
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = number
    return spec


def pool() -> list[Candidate]:
    candidates = []
    for number in range(12):
        random = np.random.default_rng(number)
        words = " ".join(
            random.permutation(["red", "blue", "seven", "apples", "each", "day", "costs", "then"]).tolist()
        )
        candidates.append(
            Candidate(
                id=f"{number:04d}", content="c", domain="ab"[number % 2], difficulty=("easy", "hard")[number % 3 % 2],
                instruction=f"Say {words}", response=f"{words} ok", language="en", parent=None,
                source_ref=f"f:{number}", versions={"scorer": "1"}, answer_match=0.5,
                parts={"quality": number / 100, "complexity": 0.5}, space=VectorSpace("e", 8),
                vector=random.standard_normal(8).astype(np.float16),
            )
        )  # fmt: skip
    return candidates


POOL = pool()


def within_bound(work: Callable[[], Any]) -> None:
    """Do some work, and fail where it takes more calls than the bound: a clock would tell of the machine."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > MOST_CALLS:
            raise AssertionError(f"more than {MOST_CALLS} calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)


def closes_or_is_refused(spec: dict[str, Any]) -> bool:
    try:
        run = Run.model_validate({"run_id": "r", "spec": spec})
        named_strategy(run.spec.select.diversity)
    except (ValidationError, ValueError):
        return False
    within_bound(lambda: close_window(POOL, Elsewhere(), run, 0))
    assert Run.model_validate_json(run.to_bytes()) == run
    return True


def test_every_number_of_the_contract_is_tried():
    def named(schema: Any) -> Iterator[str]:
        for name, told in schema.get("properties", {}).items():
            kinds = {told.get("type"), *(one.get("type") for one in told.get("anyOf", ()))}
            if kinds & {"integer", "number"}:
                yield name

    schema = RunSpec.model_json_schema()
    fields = {name for part in (schema, *schema["$defs"].values()) for name in named(part)}
    assert fields <= {place[-1] for place in PLACES}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_an_extreme_number_is_refused_or_its_windows_close(place: tuple[Any, ...]):
    assert not closes_or_is_refused(changed(place, 10**40))
    assert not closes_or_is_refused(changed(place, 1e300))
    assert not closes_or_is_refused(changed(place, 5e-324))
    for number in NUMBERS:
        closes_or_is_refused(changed(place, number))


@pytest.mark.parametrize(("strategy", "parameter"), PARAMETERS)
def test_an_extreme_parameter_is_refused_or_its_windows_close(strategy: str, parameter: str):
    for number in NUMBERS:
        methods = ("lazy", "stochastic", "sieve") if strategy == "facility_location" else (None,)
        for method in methods:
            chosen = {parameter: number} | ({} if method is None else {"method": method})
            spec = copy.deepcopy(FULL)
            spec["select"]["diversity"] = {"strategy": strategy, "parameters": chosen}
            closes_or_is_refused(spec)


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(PLACES[:-1]), st.sampled_from([*NUMBERS, 1, 2, 0.5]), min_size=2, max_size=5))
def test_extreme_numbers_together_are_refused_or_windows_close(numbers: dict[tuple[Any, ...], float]):
    spec = copy.deepcopy(FULL)
    for place, number in numbers.items():
        part = spec
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = number
    closes_or_is_refused(spec)


@pytest.mark.parametrize(
    "weights", [{"complexity": 1e308, "quality": 1e308}, {"complexity": float("nan")}, {"quality": 10**30}]
)
def test_weights_that_overflow_are_refused(weights: dict[str, float]):
    assert not closes_or_is_refused(FULL | {"score": FULL["score"] | {"weights": weights}})


@pytest.mark.parametrize("number", [10**30, float("inf"), 1e300])
def test_a_plug_ins_own_number_has_the_bounds_too(number: float):
    for place in (("generate", "strategies", 0, "own"), ("verify", "checks", "mine", "least")):
        assert not closes_or_is_refused(changed(place, number))
