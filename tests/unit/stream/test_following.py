"""The counts that a user sees while a run goes."""

from __future__ import annotations

from collections import defaultdict

from limoflow.following import Course
from limoflow.progress_of import STAGES, Results


class Counted:
    """One partition a topic; `sent` and `handled` are counts by topic."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = defaultdict(int)
        self.handled: dict[str, int] = defaultdict(int)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        assert dict(STAGES)[group] == topic
        return {0: self.handled[topic]}

    def ends(self, topic: str) -> dict[int, int]:
        return {0: self.sent[topic]}

    def starts(self, topic: str) -> dict[int, int]:
        return {0: 0}

    def flow(self, count: int, past: int) -> None:
        """Send so many samples through the first `past` stages."""
        for number, (_, topic) in enumerate(STAGES):
            self.sent[topic] += count if number <= past else 0
            self.handled[topic] += count if number < past else 0


def test_progress_counts_this_run_and_not_what_earlier_runs_sent() -> None:
    offsets, course = Counted(), Course()
    offsets.flow(31_000, past=4)
    assert course.progress(offsets, Results())[:2] == (0, 0)
    offsets.flow(60, past=4)
    offsets.flow(40, past=2)
    done, total, fields = course.progress(offsets, Results())
    assert (done, total) == (60, 100)
    assert (fields["scorer_lag"], fields["selector_lag"]) == (40, 0)


def test_progress_moves_with_each_sample_that_passes_the_slowest_stage() -> None:
    offsets, course = Counted(), Course()
    offsets.flow(100, past=2)
    seen = [course.progress(offsets, Results())[0]]
    for _ in range(100):
        offsets.handled[STAGES[2][1]] += 1
        offsets.sent[STAGES[3][1]] += 1
        offsets.handled[STAGES[3][1]] += 1
        seen.append(course.progress(offsets, Results())[0])
    assert seen == list(range(101))


def test_progress_never_falls() -> None:
    offsets, course = Counted(), Course()
    course.progress(offsets, Results())
    offsets.flow(60, past=4)
    assert course.progress(offsets, Results())[0] == 60
    offsets.sent[STAGES[2][1]] += 7  # counted as waiting there before they are counted as entered
    assert course.progress(offsets, Results())[0] == 60
