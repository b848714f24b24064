"""Ends a process whose Kafka client has forgotten every broker, so that it is started anew."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from limoflow.stream.watchdog import end_process

_LOG = logging.getLogger(__name__)
_EVERY_MS = 3000
_PATIENCE = 2
# What librdkafka calls a broker of its own list; the others are its names for coordinators.
_REAL = frozenset({"configured", "learned"})


def knows_a_broker(statistics: str) -> bool:
    """Say whether a client has any broker to ask, reachable or not.

    Parameters
    ----------
    statistics : str
        What librdkafka's statistics callback is given.
    """
    brokers = json.loads(statistics)["brokers"].values()
    return any(broker["source"] in _REAL for broker in brokers)


def vital_signs(client: str, bite: Callable[[], None] = end_process) -> dict[str, Any]:
    """Return configuration by which a client that lives long ends its process when it knows no broker any more.

    A broker that was silent for longer than its session is fenced for a moment, and says then that there is no broker
    at all. librdkafka from 2.10 on takes that for the truth: it drops its whole list, the addresses that it began with
    included, and never asks anybody again (its issue 5301). An outage does not look like that: brokers that cannot be
    reached stay on the list.

    Parameters
    ----------
    client : str
        For the log.
    bite : callable
        What to do when it was told twice on end. The client must be polled every few seconds for that.
    """
    alone = 0

    def look(statistics: str) -> None:
        nonlocal alone
        alone = 0 if knows_a_broker(statistics) else alone + 1
        if alone == _PATIENCE:
            _LOG.critical("%s knows no broker any more, and would never ask one again; the process ends", client)
            bite()

    return {"statistics_interval_ms": _EVERY_MS, "stats_cb": look}
