"""The transactional writer when its broker answers, but never takes a call."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from limoflow.errors import InvariantBroken
from limoflow.stream import transaction
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.transaction import TransactionalWriter


class Refusing:
    """A producer whose every transactional call times out and may be tried again."""

    calls = 0

    def __init__(self, _config: dict[str, Any]) -> None:
        pass

    def poll(self, _timeout_s: float) -> int:
        return 0

    def init_transactions(self, _timeout_s: float) -> None:
        Refusing.calls += 1
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no coordinator", retriable=True))


def test_a_broker_that_never_takes_a_call_ends_the_process_with_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "Producer", Refusing)
    settings = BrokerSettings(bootstrap_servers="127.0.0.1:9", connect_timeout_s=0.05)
    with pytest.raises(InvariantBroken, match=r"'ingestor-0' for 0\.6 s"):
        TransactionalWriter(settings, "ingestor-0", lambda: None)
    assert Refusing.calls > 1
