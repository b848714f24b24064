"""`python -m tests.deploy.cluster`: the laptop overlay on a real node; says why where that cannot be."""

from __future__ import annotations

import argparse
import sys

from tests.deploy.cluster.place import missing
from tests.deploy.cluster.scenario import run, say


def main() -> int:
    """Run the scenario and return the exit code; 0 also where it is skipped."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.cluster", description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=1400, help="rows of the demo lake (of 1,200 survive 583; its release has 600)"
    )
    parser.add_argument("--seed", type=int, default=7, help="which pods are deleted")
    chosen = parser.parse_args()
    reason = missing(node=True)
    if reason is not None:
        say(f"skipped: {reason}")
        return 0
    run(chosen.rows, chosen.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
