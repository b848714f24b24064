"""A worker process of the contract tests: `python -m tests.contract.stream.worker '{"handler": ...}'`."""

from __future__ import annotations

import faulthandler
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from limoflow.errors import LimoflowError
from limoflow.stream.confluent_runner import run_task
from limoflow.stream.faust_runner import run_stage
from limoflow.stream.retry import RetryPolicy
from limoflow.stream.settings import BrokerSettings
from tests.contract.stream.handlers import HANDLERS, Steered

POLICY = RetryPolicy(backoff_s=0.01, outage_cap_s=0.3)


def main(wanted: dict[str, Any]) -> int:
    faulthandler.register(signal.SIGUSR1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    handler: Any = HANDLERS[wanted["handler"]](**wanted["arguments"])
    broker = BrokerSettings(**wanted["broker"])
    options = {"policy": POLICY, "drain_s": 10.0, "on_ready": Path(wanted["ready"]).touch}
    try:
        if isinstance(handler, Steered):
            return run_stage(handler, broker, **options)
        return run_task(handler, broker, instance=wanted["instance"], **options)
    except LimoflowError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


if __name__ == "__main__":
    code = main(json.loads(sys.argv.pop()))
    sys.exit(code)
