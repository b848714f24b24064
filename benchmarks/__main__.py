"""`python -m benchmarks [NAME ...]`: measure, print a table, keep it in benchmarks/README.md and results.json."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Figure, keep, table

NAMES = (
    "startup",
    "ingest",
    "verifier",
    "math",
    "contamination",
    "verifier_memory",
    "sandbox",
    "ifd",
    "selector",
    "selector_memory",
    "strategies",
    "stream",
    "end_to_end",
)
FOLDER = Path(__file__).parent
HEAD = """# Benchmarks

`make bench` measures all of this in one go and writes this page. The machine is shared and noisy: ratios within one run
count, single times do not. Measured on {cores} cores, Python {python}.

"""


def main(names: list[str]) -> int:
    """Measure, and return 1 where a goal is missed."""
    figures: list[Figure] = []
    for name in names or NAMES:
        sys.stderr.write(f"measuring {name}\n")
        figures += import_module(f"benchmarks.{name}").measure()
    shown = table(figures)
    sys.stdout.write(shown + "\n")
    if not names:
        keep(figures, FOLDER / "results.json")
        head = HEAD.format(cores=os.cpu_count(), python=platform.python_version())
        (FOLDER / "README.md").write_text(head + shown + "\n", encoding="utf-8")
    return int(any(figure.reached is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
