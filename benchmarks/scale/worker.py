"""One level of the selector as a process of its own, with nothing of the service around it: how it is measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from limoflow.memory import prepare_memory
from limoflow.stream.confluent_runner import TaskRunner
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.settings import BrokerSettings
from services.selector.app import tasks
from services.selector.settings import SelectorSettings

LEVELS = ("first", "second")
# Workers are held still while their topic is filled.
SESSION_MS = 15_000


def main() -> None:
    """Work until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("level", choices=LEVELS)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--instance", required=True)
    parser.add_argument("--sketch", type=int, required=True)
    parser.add_argument("--ready", type=Path, required=True, help="a file that is made once records would be handled")
    arguments = parser.parse_args()
    prepare_memory()
    broker = BrokerSettings(bootstrap_servers=arguments.broker, session_timeout_ms=SESSION_MS)
    levels = tasks(KafkaTransport(broker).offsets, SelectorSettings(sketch=arguments.sketch))
    task = levels[LEVELS.index(arguments.level)]
    TaskRunner(task, broker, instance=arguments.instance, on_ready=arguments.ready.touch).run()


if __name__ == "__main__":
    main()
