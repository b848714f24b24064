"""Talking to a running supervisor: commands are files that it polls, answers lie beside them."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from limoflow.errors import StackError, UsageError
from limoflow.stack.processes import wait_until
from limoflow.stack.state import StackState, holder, read_state, state_path, sweep, write_atomically
from limoflow.stack.supervised import Phase

_ANSWER_TIMEOUT_S = 10.0
_LARGEST_REPLICAS = 64


@dataclass(frozen=True, slots=True)
class ScaleCommand:
    """Run `replicas` processes of `service`."""

    service: str
    replicas: int


class CommandInbox:
    """The supervisor's end: commands that wait in ``<state>/commands``.

    Parameters
    ----------
    state_folder : Path
        Folder of the stack.
    """

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder / "commands"
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.iterdir():
            old.unlink()

    def serve(self, handle: Callable[[ScaleCommand], None]) -> None:
        """Hand every waiting command to `handle`, and answer with its `UsageError` where it raises one."""
        for path in sorted(self._folder.glob("[!.]*.json")):
            error = ""
            try:
                handle(_decode(path))
            except UsageError as refusal:
                error = str(refusal)
            path.unlink(missing_ok=True)
            write_atomically(path.with_suffix(".answer"), json.dumps({"error": error}))


def _decode(path: Path) -> ScaleCommand:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        service, replicas = fields["service"], fields["replicas"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path.name} is not a command: {error!r}") from error
    if not isinstance(replicas, int) or not 0 <= replicas <= _LARGEST_REPLICAS:
        raise UsageError(f"replicas of {service!r} is {replicas!r}: give a number from 0 to {_LARGEST_REPLICAS}")
    return ScaleCommand(str(service), replicas)


def scale(state_folder: Path, service: str, replicas: int, timeout_s: float = 60.0) -> None:
    """Change how many processes of a service run, and wait until they are ready and the others have ended.

    Parameters
    ----------
    state_folder : Path
        Folder of the running stack.
    service : str
        A service that was started as scalable, such as ``scorer``.
    replicas : int
        From 0 to 64.
    timeout_s : float
        Seconds to wait for the processes.

    Raises
    ------
    UsageError
        If no stack runs there, the service is unknown or not scalable, or the number is out of range.
    StackError
        If the supervisor does not answer or the processes are not ready in time.
    """
    if holder(state_folder) is None:
        raise UsageError(f"no stack runs in {state_folder}: start it with 'limoflow up'")
    _ask(state_folder, {"service": service, "replicas": replicas})
    wanted = [Phase.READY.value] * replicas

    def reached(state: StackState) -> bool:
        return [process.phase for process in state.of(service)] == wanted

    if not wait_for_state(state_folder, reached, timeout_s):
        raise StackError(
            f"{service} does not have {replicas} ready processes after {timeout_s:g} s: see 'limoflow status' and the "
            f"logs named in {state_path(state_folder)}"
        )


def _ask(state_folder: Path, fields: dict[str, object]) -> None:
    path = state_folder / "commands" / f"{uuid.uuid4().hex}.json"
    write_atomically(path, json.dumps(fields))
    answer = path.with_suffix(".answer")
    if not wait_until(answer.exists, _ANSWER_TIMEOUT_S):
        path.unlink(missing_ok=True)
        raise StackError(f"the supervisor of {state_folder} did not answer within {_ANSWER_TIMEOUT_S:g} s: see its log")
    error = json.loads(answer.read_text(encoding="utf-8"))["error"]
    answer.unlink()
    if error:
        raise UsageError(error)


def down(state_folder: Path, timeout_s: float = 90.0) -> bool:
    """Stop the stack of a folder and wait until it is gone; also ends what a killed supervisor left behind.

    Returns
    -------
    bool
        Whether there was something to stop.

    Raises
    ------
    StackError
        If it still runs after `timeout_s`.
    """
    supervisor = holder(state_folder)
    if supervisor is not None:
        with suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGTERM)
        if not wait_until(lambda: holder(state_folder) is None, timeout_s):
            raise StackError(f"supervisor {supervisor} of {state_folder} still stops after {timeout_s:g} s: try again")
    state = read_state(state_folder)
    leftovers = sweep(state.stack_id) if state else []
    return supervisor is not None or bool(leftovers)


def wait_for_state(state_folder: Path, condition: Callable[[StackState], bool], timeout_s: float) -> bool:
    """Wait until the state of a stack fulfils a condition; returns whether it did in time."""

    def holds() -> bool:
        state = read_state(state_folder)
        return state is not None and condition(state)

    return wait_until(holds, timeout_s)
