"""What a stack is disturbed with: its processes killed, ended or stopped for a while, all by their own ids."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import psutil

from tests.support.stack import Stack, until

SERVICES = ("ingestor", "generator", "verifier", "scorer", "selector", "exporter", "trainer")
STUB = "triton stub"
VICTIMS = (*SERVICES, "triton", STUB, "kafka")
_BACK_S = 120.0


def kill(stack: Stack, victim: str, chance: random.Random) -> None:
    """Kill a service, Triton, one of Triton's stubs or the broker, and wait for the new process to be ready."""
    if victim == STUB:
        _kill_stub(stack, chance)
    else:
        end(stack, victim, signal.SIGKILL)


def end(stack: Stack, service: str, how: signal.Signals) -> None:
    """End the first process of a service by a signal, and wait for the new one to be ready."""
    victim = _living(stack, service)
    before = stack.process(service).restarts
    os.kill(victim, how)

    def replaced() -> bool:
        now = stack.process(service)
        return now.restarts > before and now.phase == "ready"

    until(replaced, _BACK_S, f"another {service}")


def pause(stack: Stack, service: str, seconds: float) -> None:
    """Stop the first process of a service as if its machine stood still, and let it go on."""
    victim = _living(stack, service)
    os.kill(victim, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGCONT)


def _living(stack: Stack, service: str) -> int:
    """Wait for a process that is ready: an earlier fault may have ended it."""
    until(lambda: stack.process(service).phase == "ready", _BACK_S, f"a {service} that is ready")
    pid = stack.process(service).pid
    assert pid is not None
    return pid


def _kill_stub(stack: Stack, chance: random.Random) -> None:
    server = psutil.Process(_living(stack, "triton"))

    def stubs() -> list[psutil.Process]:
        return [child for child in server.children(recursive=True) if "stub" in child.name()]

    until(lambda: bool(stubs()), _BACK_S, "a stub of Triton")
    chance.choice(sorted(stubs(), key=lambda stub: stub.pid)).kill()
