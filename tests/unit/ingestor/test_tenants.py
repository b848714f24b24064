"""Quotas of tenants: who is refused, who waits, who starts first, and where a run is cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import UsageError
from limoflow.stream.dead_letters import read_dead_letter, replay
from limoflow.stream.types import Emit, TopicPartition
from schemas.admission import Admission
from schemas.headers import event_headers
from schemas.run import Run
from schemas.topics import ADMISSIONS, RELEASES, RUNS, dead_letters_of
from services.ingestor.admission import Admitted, Refused, Waiting, decide
from services.ingestor.settings import IngestorSettings
from services.ingestor.task import Ingestor
from services.ingestor.tenants import Tenants, over_quota, read_tenants
from tests.unit.ingestor.ingest_log import Clock, Log

NAMES = ("a", "b", None)


def make_run(run_id: str, tenant: str | None = None, path: object = "none", **spec: Any) -> Run:
    fields = {"name": "r", "tenant": tenant, "sources": [{"path": str(path)}], **spec}
    return Run.model_validate({"run_id": run_id, "spec": fields})


def make_tenants(**fields: Any) -> Tenants:
    return Tenants.model_validate(fields)


bounds = st.none() | st.integers(1, 3)
quotas = st.fixed_dictionaries(
    {"max_running": bounds, "max_target": st.none() | st.just(10), "priority": st.integers(-2, 2)}
)
installations = st.builds(
    make_tenants,
    max_running=bounds,
    unnamed=st.just(False) | quotas,
    tenants=st.dictionaries(st.sampled_from(["a", "b"]), quotas),
)
waiting_runs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([5, 50])), max_size=8).map(
    lambda drawn: [make_run(f"w{at}", tenant, select={"target": target}) for at, (tenant, target) in enumerate(drawn)]
)
running_runs = st.lists(st.sampled_from(NAMES), max_size=4).map(
    lambda drawn: {f"r{at}": tenant for at, tenant in enumerate(drawn)}
)


@given(waiting_runs, running_runs, installations)
def test_every_run_is_decided_on_bounds_hold_no_place_stays_free_and_priority_goes_first(
    waiting: list[Run], running: dict[str, str | None], tenants: Tenants
) -> None:
    decided = decide(waiting, running, tenants)
    assert set(decided) == {run.run_id for run in waiting}
    by_id = {run.run_id: run for run in waiting}
    let_in = [by_id[run_id] for run_id, one in decided.items() if isinstance(one, Admitted)]
    now = [*running.values(), *(run.spec.tenant for run in let_in)]
    order = {run.run_id: at for at, run in enumerate(waiting)}

    def rank(run: Run) -> tuple[int, int]:
        quota = tenants.quota(run.spec.tenant)
        assert quota is not None
        return -quota.priority, order[run.run_id]

    # No admission passes a bound; those that ran before may be over it, where it was lowered.
    for tenant in {run.spec.tenant for run in let_in}:
        quota = tenants.quota(tenant)
        assert quota is not None
        assert quota.max_running is None or now.count(tenant) <= quota.max_running
    assert not let_in or tenants.max_running is None or len(now) <= tenants.max_running
    for run_id, one in decided.items():
        run = by_id[run_id]
        refused = over_quota(run.spec, tenants)
        assert isinstance(one, Refused) == (refused is not None)
        if isinstance(one, Waiting):
            quota = tenants.quota(run.spec.tenant)
            assert quota is not None
            own_full = quota.max_running is not None and now.count(run.spec.tenant) >= quota.max_running
            all_full = tenants.max_running is not None and len(now) >= tenants.max_running
            assert own_full or all_full
            if not own_full:
                assert all(rank(other) < rank(run) for other in let_in)
            assert all(rank(other) < rank(run) for other in let_in if other.spec.tenant == run.spec.tenant)
    # Said again of those that still wait, nothing changes.
    left = [run for run in waiting if isinstance(decided[run.run_id], Waiting)]
    after = running | {run.run_id: run.spec.tenant for run in let_in}
    assert all(isinstance(one, Waiting) for one in decide(left, after, tenants).values())


CHAT = {"chat": {"base_url": "http://127.0.0.1:1/v1", "model": "m"}}
TENANTS = make_tenants(unnamed=False, tenants={"a": {"max_target": 100, "chat": False}})


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (make_run("r"), ["tenant", "names none", "one of: a", "LIMOFLOW_TENANTS"]),
        (make_run("r", "c"), ["tenant", "'c'", "one of: a"]),
        (make_run("r", "a", select={"target": 101}), ["select.target: 101", "100 of tenant 'a'", "max_target"]),
        (make_run("r", "a", select={"target": 9}, generate=CHAT), ["generate.chat", "tenant 'a'", "chat: false"]),
        (make_run("r", "a", select={"target": 9}, verify=CHAT), ["verify.chat"]),
    ],
)
def test_a_refusal_names_the_field_the_value_the_bound_and_what_to_do(run: Run, says: list[str]) -> None:
    reason = over_quota(run.spec, TENANTS)
    assert reason is not None
    for word in says:
        assert word in reason


def test_without_a_file_everybody_may_do_everything_and_a_spec_without_tenant_keeps_its_hash() -> None:
    assert over_quota(make_run("r", "anybody", select={"target": 10**9}).spec, read_tenants(None)) is None
    assert "tenant" not in make_run("r").spec.canonical()
    assert make_run("r", "a").spec.sha256() != make_run("r").spec.sha256()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tenants: {a: {max_rows: 0}}", "tenants.a.max_rows"),
        ("tenants: {a: {max_row: 5}}", "tenants.a.max_row"),
        ("tenants: {'A b': {}}", "tenants.A b"),
        ("max_running: some", "max_running"),
        ("tenants: [", "is not YAML"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_tenants_that_does_not_hold_is_named_with_the_field(
    tmp_path: Path, text: str | None, says: str
) -> None:
    path = tmp_path / "tenants.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        read_tenants(path)
    assert str(path) in str(refused.value)
    assert says in str(refused.value)


class House:
    """The log of an installation, and the life of one ingestor after the other on it."""

    def __init__(self, tenants: Tenants) -> None:
        self.log = Log()
        self.restart(tenants)

    def restart(self, tenants: Tenants) -> None:
        self.task = Ingestor(IngestorSettings(batch_rows=7), self.log, Clock(), tenants=tenants)
        self.task.assigned([TopicPartition(RUNS, 0)])
        self.task.observe(self.log.of(RELEASES))
        self.task.restore(self.log.of(RUNS))

    def submit(self, *runs: Run) -> None:
        for run in runs:
            self.replayed(Emit(RUNS, run.run_id.encode(), run.to_bytes()))

    def replayed(self, emit: Emit) -> None:
        self.log.transact([emit])
        self.log.transact(list(self.task.process(self.log.of(RUNS)[-1:])))

    def work(self, limit: int = 10_000) -> None:
        for _ in range(limit):
            emits = list(self.task.tick())
            if not emits:
                break
            self.task.delivered(self.log.transact(emits))

    def release(self, run_id: str) -> None:
        """Say that the last window of a run is released."""
        (end,) = [one for one in self.log.window_ends() if one.run_id == run_id and one.last]
        self.log.transact([Emit(RELEASES, f"{run_id}|{end.window}".encode(), b"{}")])
        self.task.observe(self.log.of(RELEASES)[-1:])

    def states(self) -> dict[str, str]:
        newest = (Admission.model_validate_json(record.value or b"") for record in self.log.of(ADMISSIONS))
        return {said.run_id: said.state for said in newest}

    def reason(self, run_id: str) -> str:
        said = [Admission.model_validate_json(record.value or b"") for record in self.log.of(ADMISSIONS)]
        return [one.reason or "" for one in said if one.run_id == run_id][-1]

    def rows(self, run_id: str) -> list[str]:
        found = (sample for sample in self.log.samples() if sample.lineage.run_id == run_id)
        return [sample.lineage.source_ref for sample in found]


def lake(folder: Path, rows: int, broken: int = 0) -> Path:
    """A file of good rows, with some at its start that are none."""
    good = [json.dumps({"instruction": f"question {at}", "response": "answer"}) for at in range(rows)]
    path = folder / "lake.jsonl"
    path.write_text("\n".join(["no JSON"] * broken + good) + "\n", encoding="utf-8")
    return path


def test_a_refused_run_is_a_dead_letter_nothing_of_it_is_read_and_a_replay_under_a_larger_quota_starts_it(
    tmp_path: Path,
) -> None:
    small, large = (make_tenants(tenants={"a": {"max_target": bound}}) for bound in (10, 1000))
    run = make_run("r", "a", lake(tmp_path, 20), select={"target": 500})
    house = House(small)
    house.submit(run)
    house.work()
    assert house.states() == {"r": "refused"}
    assert "select.target: 500" in house.reason("r")
    (letter,) = house.log.letters()
    assert letter.value == run.to_bytes()
    assert "select.target: 500" in read_dead_letter(letter).error
    assert not house.log.samples()

    # Restarts repeat nothing, and a larger quota alone starts nothing behind anybody's back.
    house.restart(small)
    house.work()
    house.restart(large)
    house.work()
    assert len(house.log.letters()) == 1
    assert house.states() == {"r": "refused"}
    assert not house.log.samples()

    house.replayed(replay(letter))
    house.work()
    assert house.states() == {"r": "admitted"}
    assert len(house.rows("r")) == 20


def test_runs_over_max_running_wait_and_start_by_priority_as_places_come_free(tmp_path: Path) -> None:
    path = lake(tmp_path, 30)
    tenants = make_tenants(max_running=2, tenants={"a": {"max_running": 1}, "b": {"priority": 5}})
    house = House(tenants)
    house.submit(make_run("a1", "a", path), make_run("a2", "a", path), make_run("n1", None, path))
    house.work()
    assert house.states() == {"a1": "admitted", "a2": "waiting", "n1": "admitted"}
    assert "1 of at most 1 runs of tenant 'a'" in house.reason("a2")
    house.submit(make_run("n2", None, path), make_run("b1", "b", path))
    house.work()
    assert (house.states()["n2"], house.states()["b1"]) == ("waiting", "waiting")
    assert "2 of at most 2 runs of the installation" in house.reason("n2")
    assert {run: len(house.rows(run)) for run in ("a1", "n1", "a2", "n2", "b1")} == {
        "a1": 30,
        "n1": 30,
        "a2": 0,
        "n2": 0,
        "b1": 0,
    }
    # Read to the end is not over: the last release is what frees the place; and a restart frees none.
    house.restart(tenants)
    house.work()
    assert house.states()["b1"] == "waiting"
    house.release("n1")
    house.work()
    assert (house.states()["b1"], house.states()["n2"]) == ("admitted", "waiting")
    house.restart(tenants)
    house.release("a1")
    house.work()
    assert (house.states()["a2"], house.states()["n2"]) == ("admitted", "waiting")
    for run in ("b1", "a2"):
        house.release(run)
        house.work()
    assert set(house.states().values()) == {"admitted"}
    assert all(len(house.rows(run)) == 30 for run in house.states())


def test_a_waiting_run_that_is_withdrawn_starts_never_and_one_under_way_frees_its_place(tmp_path: Path) -> None:
    path = lake(tmp_path, 30)
    house = House(make_tenants(max_running=1))
    house.submit(*(make_run(run_id, None, path) for run_id in ("r1", "r2", "r3")))
    house.work()
    house.replayed(Emit(RUNS, b"r2", None))
    house.replayed(Emit(RUNS, b"r1", None))
    house.work()
    assert house.states()["r3"] == "admitted"
    assert not house.rows("r2")


def test_a_waiting_run_that_is_stopped_never_begins_and_is_no_dead_letter(tmp_path: Path) -> None:
    first, second = (make_run(name, "a", lake(tmp_path, 20)) for name in ("first", "second"))
    house = House(make_tenants(tenants={"a": {"max_running": 1}}))
    house.submit(first, second)
    house.work()
    assert house.states() == {"first": "admitted", "second": "waiting"}
    house.submit(second.model_copy(update={"state": "stopping"}))
    house.work()
    house.release("first")
    house.restart(make_tenants(tenants={"a": {"max_running": 1}}))
    house.work()
    assert house.states() == {"first": "admitted", "second": "refused"}
    assert "it was stopped before it began" in house.reason("second")
    assert (house.rows("second"), house.log.of(dead_letters_of("ingestor"))) == ([], [])


@pytest.mark.parametrize("window", ["all", {"count": 5}, {"count": 10}, {"count": 7}])
@pytest.mark.parametrize("bound", [10, 13])
def test_a_run_is_cut_at_its_row_quota_says_so_and_is_cut_there_whatever_happens(
    tmp_path: Path, window: Any, bound: int
) -> None:
    """Batches, restarts before and after each commit and a changed quota leave the cut where it is (G3)."""
    run = make_run("r", "a", lake(tmp_path, 30, broken=2), select={"window": window})
    tenants = make_tenants(tenants={"a": {"max_rows": bound}})
    whole = House(tenants)
    whole.submit(run)
    whole.work()
    assert len(whole.rows("r")) == bound - 2
    last = whole.log.window_ends()[-1]
    assert last.last
    assert f"after {bound} rows, the max_rows of tenant 'a'" in (last.stopped or "")
    assert [end.stopped for end in whole.log.window_ends()[:-1]] == [None] * (len(whole.log.window_ends()) - 1)
    assert sum(end.rows for end in whole.log.window_ends()) == bound - 2

    stormy = House(tenants)
    stormy.submit(run)
    for _ in range(40):
        stormy.work(1)
        if any(end.last for end in stormy.log.window_ends()):
            break
        list(stormy.task.tick())
        stormy.restart(make_tenants(tenants={"a": {"max_rows": 25}}))
    assert stormy.log.rows() == whole.log.rows()
    assert [(end.window, end.rows, end.last, end.stopped) for end in stormy.log.window_ends()] == [
        (end.window, end.rows, end.last, end.stopped) for end in whole.log.window_ends()
    ]


def test_a_source_of_just_as_many_rows_as_the_quota_is_not_cut(tmp_path: Path) -> None:
    house = House(make_tenants(tenants={"a": {"max_rows": 10}}))
    house.submit(make_run("r", "a", lake(tmp_path, 8, broken=2)))
    house.work()
    (end,) = house.log.window_ends()
    assert (end.rows, end.last, end.stopped) == (8, True, None)


def test_a_followed_folder_ends_at_the_quota(tmp_path: Path) -> None:
    house = House(make_tenants(tenants={"a": {"max_rows": 10}}))
    source = {"path": str(lake(tmp_path, 30)), "follow": True, "settle_seconds": 0}
    house.submit(make_run("r", "a", sources=[source]))
    house.work()
    assert len(house.rows("r")) == 10
    assert house.log.window_ends()[-1].last


def test_a_run_that_began_before_there_were_tenants_goes_on(tmp_path: Path) -> None:
    run = make_run("r", None, lake(tmp_path, 30))
    house = House(Tenants())
    house.submit(run)
    house.work(2)
    assert 0 < len(house.rows("r")) < 30
    house.log.records = [record for record in house.log.records if record.topic != ADMISSIONS]
    house.restart(make_tenants(unnamed=False))
    house.work()
    assert len(house.rows("r")) == 30


@pytest.mark.parametrize(
    ("version", "value", "says"),
    [("run.v1", b'{"run_id": "r"}', "spec"), ("run.v2", make_run("r").to_bytes(), "run.v2")],
)
def test_an_event_that_is_no_run_or_one_of_the_future_is_refused_under_its_key(
    version: str, value: bytes, says: str
) -> None:
    house = House(Tenants())
    house.replayed(Emit(RUNS, b"r", value, event_headers(version, "r", "cli")))
    house.work()
    assert house.states() == {"r": "refused"}
    assert says in house.reason("r")
    assert house.log.letters()[0].value == value
    house.restart(Tenants())
    house.work()
    assert len(house.log.letters()) == 1


def test_an_event_of_the_future_of_a_run_that_is_under_way_leaves_it_as_it_was(tmp_path: Path) -> None:
    house = House(make_tenants(tenants={"a": {"max_rows": 20}}))
    house.submit(make_run("r", "a", lake(tmp_path, 30)))
    house.work(2)
    house.replayed(Emit(RUNS, b"r", b"{}", event_headers("run.v2", "r", "cli")))
    house.work()
    assert house.states() == {"r": "admitted"}
    assert len(house.rows("r")) == 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_running: 1\nmax_running: 2\n", "line 2: the key 'max_running' is stated again, first in line 1"),
        ("tenants:\n  a: {max_target: 1}\n  a: {max_target: 9}\n", "line 3: the key 'a' is stated again"),
        (f"max_running: {'1' * 5_000}\n", "line 1: a value cannot be read"),
        ("max_running: 2023-13-45\n", "line 1: a value cannot be read"),
        ("tenants: {", "is not YAML"),
    ],
)
def test_a_file_of_tenants_that_says_something_twice_or_what_cannot_be_is_refused(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="LIMOFLOW_TENANTS") as caught:
        read_tenants(path)
    assert expected in str(caught.value)
