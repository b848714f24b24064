"""`python -m tests.fuzz [--count N] [--seconds S] [PARSER ...]`: many hostile inputs for each parser, by atheris.

Each parser has a process of its own: no exception but a refusal, no input that takes ten seconds, no memory that grows
by more than 64 MiB after the first fifth of the inputs. Where atheris is not installed, mutations without feedback do.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

HANG_S = 10
GROWTH_MIB = 64
LONGEST = 4096


class Counter:
    """Counts inputs, and looks at the memory after the first fifth and at the end."""

    def __init__(self, name: str, count: int, seconds: float) -> None:
        self._name, self._count = name, count
        self._until = time.monotonic() + seconds
        self._began = time.monotonic()
        self._done, self._warm = 0, 0.0

    def more(self) -> bool:
        """Count one input; whether another is wanted."""
        self._done += 1
        if self._done == max(1, self._count // 5):
            self._warm = _resident_mib()
        return self._done < self._count and time.monotonic() < self._until

    def report(self) -> dict[str, Any]:
        """Return the figures of this process."""
        spent = time.monotonic() - self._began
        warm, now = self._warm or _resident_mib(), _resident_mib()
        return {"parser": self._name, "inputs": self._done, "per_second": round(self._done / spent), "mib": [warm, now]}


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(name: str, count: int, seconds: float, seed: int) -> None:
    """Feed one parser and print its figures."""
    # Unless told otherwise, structlog prints every line of a request that is refused.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        import atheris
    except ImportError:
        _plainly(name, count, seconds, seed)
        return
    with atheris.instrument_imports(include=["limoflow", "services", "schemas", "yaml", "csv", "json", "http"]):
        from tests.fuzz.parsers import PARSERS
    parser, counter = PARSERS[name], Counter(name, count, seconds)
    with tempfile.TemporaryDirectory() as folder:
        for number, good in enumerate(parser.seeds):
            Path(folder, f"seed-{number}").write_bytes(good)
        words = Path(folder).with_suffix(".words")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in parser.words if len(word) < 60), encoding="ascii")

        def take(data: bytes) -> None:
            parser.take(data)
            if not counter.more():
                _say(counter, "atheris")

        limits = [f"-timeout={HANG_S}", "-rss_limit_mb=2048", f"-max_len={LONGEST}", f"-seed={seed}", "-verbosity=0"]
        atheris.Setup(["fuzz", folder, f"-dict={words}", "-runs=-1", *limits], take)
        atheris.Fuzz()


def _plainly(name: str, count: int, seconds: float, seed: int) -> None:
    from tests.fuzz.mutate import inputs
    from tests.fuzz.parsers import PARSERS

    parser, counter = PARSERS[name], Counter(name, count, seconds)
    for data in inputs(parser.seeds, parser.words, count + 2, seed):
        began = time.process_time()
        try:
            parser.take(data)
        except Exception:
            sys.stderr.write(f"{name} fails on {data!r}\n")
            raise
        if time.process_time() - began > HANG_S:
            raise SystemExit(f"{name} hangs on {data!r}")
        if not counter.more():
            break
    _say(counter, "mutations")


def _say(counter: Counter, how: str) -> None:
    sys.stdout.write(json.dumps({**counter.report(), "by": how}) + "\n")
    sys.stdout.flush()
    # libFuzzer would go on; there is nothing to put away.
    os._exit(0)


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def main() -> int:
    """Feed the parsers one after another, print a table, and return how many failed."""
    from tests.fuzz.parsers import PARSERS

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("parsers", nargs="*", choices=[*PARSERS, []], help="all by default")
    asked.add_argument("--count", type=int, default=500_000, help="inputs for each parser")
    asked.add_argument("--seconds", type=float, default=120.0, help="the longest time for one of them")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    wanted = asked.parse_args()
    if wanted.child:
        child(wanted.parsers[0], wanted.count, wanted.seconds, wanted.seed)
        return 0
    failed = total = 0
    for name in wanted.parsers or PARSERS:
        limits = [f"--count={wanted.count}", f"--seconds={wanted.seconds}", f"--seed={wanted.seed}"]
        command = [sys.executable, "-m", "tests.fuzz", "--child", *limits, name]
        done = subprocess.run(command, capture_output=True, check=False)
        figures = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else None
        grown = figures is not None and figures["mib"][1] - figures["mib"][0] > GROWTH_MIB
        failed += figures is None or grown
        total += 0 if figures is None else figures["inputs"]
        told = json.dumps(figures) if figures else "FAILED"
        sys.stdout.write(f"{name:<14} {told}{' MEMORY GROWS' if grown else ''}\n")
        sys.stdout.flush()
        if figures is None:
            sys.stdout.write(done.stderr.decode("utf-8", "replace")[-6000:])
    sys.stdout.write(f"{total} inputs, {failed} parser(s) failed\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
