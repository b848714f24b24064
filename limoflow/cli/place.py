"""Where the command line works: the home folder, and the broker that belongs to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from limoflow.errors import UsageError
from limoflow.settings import Home, from_environment

if TYPE_CHECKING:
    from limoflow.stream.types import Transport

BROKER_VARIABLE = "LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS"


def home() -> Home:
    """Return the home folder: `$LIMOFLOW_HOME`, else `.limoflow` here."""
    return Home(Path(os.environ.get("LIMOFLOW_HOME") or ".limoflow"))


@contextmanager
def connected() -> Iterator[Transport]:
    """Connect to the broker named by the environment, else to the stack that runs in the home folder.

    Raises
    ------
    UsageError
        When there is neither.
    """
    from limoflow.stream.kafka_transport import KafkaTransport
    from limoflow.stream.settings import BrokerSettings

    if os.environ.get(BROKER_VARIABLE):
        settings = from_environment(BrokerSettings)
    else:
        settings = BrokerSettings(bootstrap_servers=stack_address("kafka", "kafka"))
    transport = KafkaTransport(settings)
    try:
        yield transport
    finally:
        transport.close()


def stack_address(service: str, port: str) -> str:
    """Return host:port of a process of the stack that runs in the home folder.

    Raises
    ------
    UsageError
        When no stack runs there.
    """
    from limoflow.stack.state import holder, read_state

    folder = home().stack
    state = read_state(folder) if holder(folder) is not None else None
    processes = state.of(service) if state is not None else ()
    if not processes:
        raise UsageError(
            f"no stack runs in {folder}; start one with `limoflow up`, or name a broker in {BROKER_VARIABLE}, "
            "or add --local to `limoflow run`"
        )
    return f"127.0.0.1:{processes[0].ports[port]}"
