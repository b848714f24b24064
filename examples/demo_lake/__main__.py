"""``python -m examples.demo_lake OUT_DIR [--rows 6000] [--seed 7]`` writes the demo lake."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from examples.demo_lake.lake import FAULTS_FILE, build_lake


def main(arguments: list[str] | None = None) -> int:
    """Write the lake that the command line asks for and print what was planted; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo_lake", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="OUT_DIR", help="where the lake goes")
    parser.add_argument("--rows", type=int, default=6000, help="how many rows (at least 600)")
    parser.add_argument("--seed", type=int, default=7, help="the seed of all draws")
    chosen = parser.parse_args(arguments)
    try:
        faults = build_lake(chosen.folder, chosen.rows, chosen.seed)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"The demo lake was not written: {error}\n")
        return 2 if isinstance(error, ValueError) else 1
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(fault.fault for fault in faults).items()))
    share = 100 * len(faults) / chosen.rows
    sys.stdout.write(
        f"{chosen.rows} rows in {chosen.folder}, {len(faults)} of them faulty ({share:.1f} %): {kinds}. "
        f"The labels are in {chosen.folder / FAULTS_FILE}.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
