"""How far behind a partition is."""

from limoflow.progress_of import stage_progress
from limoflow.stream.ledger import OrderedLedger
from limoflow.stream.types import TopicPartition

ONE = TopicPartition("t", 0)


def test_what_stands_is_the_first_unfinished_record_and_what_is_in_flight():
    ledger = OrderedLedger(10)
    assert ledger.standing(ONE) is None
    first, second = ledger.begin(ONE, 5), ledger.begin(ONE, 9)
    assert first is not None
    assert second is not None
    ledger.finish(second)
    assert ledger.standing(ONE) == (5, 2)
    ledger.finish(first)
    assert ledger.standing(ONE) == (10, 0)
    ledger.forget()
    assert ledger.standing(ONE) is None


class Positions:
    """Two partitions: one with only the marker of a transaction behind the records, one with work left."""

    def committed(self, group: str, topic: str) -> dict[int, int]:
        return {0: 10, 1: 4}

    def ends(self, topic: str) -> dict[int, int]:
        return {0: 11, 1: 10}

    def starts(self, topic: str) -> dict[int, int]:
        return {0: 0, 1: 2}


def test_the_marker_behind_the_last_record_of_a_transaction_is_no_lag():
    progress = {one.stage: one for one in stage_progress(Positions())}
    assert progress["generator"].lag == 6
    assert progress["verifier"].lag == 7
