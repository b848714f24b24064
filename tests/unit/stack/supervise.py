"""A whole stack as a program: supervise.py STATE_FOLDER NOTES WORKERS. Run by test_supervisor."""

import sys
from pathlib import Path

from limoflow.errors import LimoflowError
from limoflow.stack.processes import ProcessSpec
from limoflow.stack.supervisor import Service, Supervisor
from tests.unit.stack.stack_children import PARENT, POLITE, spec


def main() -> int:
    state, notes, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

    def polite(name: str) -> ProcessSpec:
        return spec(
            state,
            POLITE,
            notes,
            name,
            name=name,
            ready=lambda: notes.exists() and f"{name} started" in notes.read_text(),
        )

    try:
        with Supervisor(state) as supervisor:
            supervisor.start([Service.single(polite("anchor"))])
            runaway = state / "runaway.pid"
            supervisor.start(
                [
                    Service("worker", lambda index: polite(f"worker-{index}"), replicas=workers),
                    Service.single(spec(state, PARENT, runaway, "session", name="parent", ready=runaway.exists)),
                ]
            )
            supervisor.run()
    except KeyboardInterrupt:
        return 130
    except LimoflowError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
