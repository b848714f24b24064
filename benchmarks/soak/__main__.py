"""`python -m benchmarks.soak --minutes 60 --seed 1`: disturb a stack under a steady stream, and say what held.

Exit code 1, and the names of what did not hold, where a bound was not kept.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import keep, table
from benchmarks.soak.course import Plan, soak
from benchmarks.soak.feed import lake_lines
from benchmarks.soak.findings import figures
from benchmarks.soak.plan import KINDS, faults
from tests.support.small_model import small_model

WARM_UP_MIN = 10.0


def main(arguments: list[str]) -> int:
    """Soak, print and keep what was measured, and return 1 where a bound was not kept."""
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    warm_up_min = min(WARM_UP_MIN, options.minutes / 4)
    with tempfile.TemporaryDirectory(prefix="limoflow-soak-") as place:
        folder = Path(options.folder or place)
        outcome = soak(_plan(options, folder), folder, options.out / "soak.csv")
    found = figures(outcome, options.rate, warm_up_min * 60)
    keep(found, options.out / "soak.json")
    sys.stdout.write(table(found) + "\n")
    missed = [f"{one.name} is {one.value:.4g} {one.unit}" for one in found if one.reached is False]
    for line in missed:
        sys.stderr.write(f"does not hold: {line}\n")
    return int(bool(missed))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long rows are fed")
    parser.add_argument("--rate", type=float, default=8.0, help="rows a second")
    parser.add_argument("--seed", type=int, default=1, help="of the rows and of the faults")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two faults, on average")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="kinds of faults")
    parser.add_argument("--window", type=int, default=400, help="rows of a window")
    parser.add_argument("--compared", type=int, default=10, help="windows that are made again, undisturbed; 0 for none")
    parser.add_argument("--out", type=Path, default=Path("build/soak"), help="where soak.csv and soak.json go")
    parser.add_argument("--folder", help="where the stack lives, with its logs; by default a folder that is removed")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace, folder: Path) -> Plan:
    seconds = options.minutes * 60
    lines = lake_lines(folder / "lake", math.ceil(seconds * options.rate), options.seed)
    return Plan(
        lines=lines,
        faults=faults(seconds, options.every, options.seed, options.kinds),
        model=small_model(folder),
        rate=options.rate,
        seed=options.seed,
        window=options.window,
        target=options.window * 15 // 100,
        compared=options.compared,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
