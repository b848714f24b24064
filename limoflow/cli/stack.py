"""`limoflow up`, `down`, `scale`, `doctor`: the local stack."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Annotated

import typer

from limoflow.cli.place import home
from limoflow.errors import MissingDependency, StackError, UsageError

_START_TIMEOUT_S = 240.0
Workers = Annotated[list[str] | None, typer.Option("--workers", help="Processes of a service, such as verifier=2.")]


def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return once the stack is ready.")] = False,
    partitions: Annotated[int, typer.Option(min=1, max=1000, help="Partitions of each work topic.")] = 4,
    workers: Workers = None,
    observe: Annotated[bool, typer.Option("--observe", help="Start Prometheus with the project's rules too.")] = False,
    advertise: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where clients reach Kafka, behind a proxy or a tunnel.")
    ] = None,
) -> None:
    """Start Kafka, Triton and all services on free loopback ports; Ctrl-C stops them."""
    from limoflow.wiring.stack import StackOptions, run_stack, triton_venv

    counts = _counts(workers or [], partitions)
    if detach:
        _detached(partitions, workers or [], observe=observe, advertise=advertise)
        return
    options = StackOptions(
        workers=counts, partitions=partitions, triton_venv=triton_venv(), observe=observe, advertised=advertise
    )
    run_stack(home(), options, started=partial(_announce, observe=observe))
    typer.echo("the stack has stopped")


def down() -> None:
    """Stop the stack of this home folder."""
    from limoflow.stack.commands import down as stop

    stopped = stop(home().stack)
    typer.echo("the stack has stopped" if stopped else f"no stack runs in {home().stack}")


def scale(service: str, workers: Annotated[int, typer.Argument(min=0, max=64)]) -> None:
    """Change how many processes of a service run."""
    from limoflow.stack.commands import scale as change

    change(home().stack, service, workers)
    typer.echo(f"{service} now has {workers} process(es)")


def doctor() -> None:
    """Look at everything that the local stack needs, and say how to get what is missing."""
    from limoflow.stack.doctor import check_sandbox, checks
    from limoflow.wiring.stack import triton_venv
    from services.verifier.sandbox import examine

    failed = 0
    for check in (*checks(triton_venv(), state=home().stack), check_sandbox(*examine())):
        failed += not check.ok
        typer.echo(f"{'ok     ' if check.ok else 'MISSING'} {check.name}: {check.found} (needed: {check.needed})")
        if not check.ok:
            typer.echo(f"        {check.how_to_fix}")
    if failed:
        raise MissingDependency(
            f"{failed} thing(s) that `limoflow up` needs are missing; `limoflow run --local` may do"
        )


def _counts(workers: list[str], partitions: int) -> dict[str, int]:
    from limoflow.wiring.stack import SERVICES, idle_workers

    counts = {}
    for setting in workers:
        name, _, count = setting.partition("=")
        if name not in SERVICES or not count.isdigit():
            raise UsageError(f"--workers {setting!r}: write SERVICE=NUMBER with one of {', '.join(SERVICES)}")
        counts[name] = int(count)
        idle = idle_workers(name, int(count), partitions)
        if idle is not None:
            raise UsageError(f"--workers {setting}: {idle}")
    return counts


def _announce(*, observe: bool) -> None:
    from limoflow.cli.place import stack_address

    typer.echo(f"ready: Kafka at {stack_address('kafka', 'kafka')}, Triton at {stack_address('triton', 'grpc')}")
    if observe:
        typer.echo(f"Prometheus at http://{stack_address('prometheus', 'prometheus')}")
    typer.echo(f"logs: {home().stack / 'logs'}; stop with Ctrl-C or `limoflow down`")


def _detached(partitions: int, workers: list[str], *, observe: bool, advertise: str | None) -> None:
    from limoflow.stack.commands import wait_for_state
    from limoflow.stack.state import holder, read_state

    folder = home().stack
    if holder(folder) is not None:
        raise UsageError(f"a stack runs in {folder} already; stop it with `limoflow down`")
    log_path = folder / "logs" / "supervisor.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "limoflow.cli", "up", "--partitions", str(partitions)]
    command += [part for setting in workers for part in ("--workers", setting)]
    command += ["--observe"] if observe else []
    command += ["--advertise", advertise] if advertise else []
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    running = wait_for_state(
        folder,
        lambda state: state.supervisor_pid == process.pid and state.phase in ("running", "stopped", "failed"),
        _START_TIMEOUT_S,
    )
    state = read_state(folder)
    if not running or state is None or state.phase != "running":
        process.terminate()
        process.wait()
        why = state.error if state is not None and state.error else "it did not become ready in time"
        raise StackError(f"the stack did not start: {why}; see {log_path}")
    _announce(observe=observe)
