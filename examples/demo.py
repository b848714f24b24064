"""`python -m examples.demo`: makes the demo lake, streams it through limoflow, and counts the faults that got through.

With Java and Maven it starts real Kafka and Triton; without them, or with `--local`, the same handlers run in one
process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from examples.demo_lake.faults import RowRef, planted_in_release, read_faults
from examples.demo_lake.lake import FAULTS_FILE, build_lake
from schemas.release import Release

SPEC = Path(__file__).with_name("demo.yaml")
NEEDED = {"java": "Java 17 (Debian: openjdk-17-jre-headless)", "mvn": "Maven (Debian: maven)"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".limoflow/demo"), help="where everything goes")
    parser.add_argument("--rows", type=int, default=5400, help="rows of the lake (at least 600)")
    parser.add_argument("--local", action="store_true", help="no Kafka and no Triton, one process")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of the RunSpec")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    folder = chosen.folder.absolute()
    started = time.monotonic()
    try:
        code = _demo(folder, chosen.rows, chosen.local or not _tools_found(), chosen.settings)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; everything that was started has stopped\n")
        return 130
    if code == 0:
        sys.stdout.write(f"the demo took {time.monotonic() - started:.0f} s\n")
    return code


def _tools_found() -> bool:
    missing = [name for program, name in NEEDED.items() if shutil.which(program) is None]
    if missing:
        sys.stdout.write(
            f"missing: {' and '.join(missing)}; install them for real Kafka. Running in one process now.\n"
        )
    return not missing


def _demo(folder: Path, rows: int, local: bool, settings: Sequence[str]) -> int:
    lake = folder / "lake"
    faults = build_lake(lake, rows)
    sys.stdout.write(f"demo lake: {rows} rows, {len(faults)} of them faulty, in {lake}\n")
    run = ["run", str(SPEC), *settings, "--fresh"]
    if local:
        code = _limoflow(folder, *run, "--local")
    else:
        try:
            code = _limoflow(folder, "up", "--detach") or _limoflow(folder, *run)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _limoflow(folder, "down")
    if code == 0:
        _report_faults(folder, lake)
    return code


def _limoflow(folder: Path, *arguments: str) -> int:
    environment = {**os.environ, "LIMOFLOW_HOME": str(folder)}
    command = [sys.executable, "-m", "limoflow.cli", *arguments]
    process = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has told the child as well; it stops by itself.
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _report_faults(folder: Path, lake: Path) -> None:
    manifest = max((folder / "releases").glob("demo/*/*/manifest.json"), key=lambda path: path.stat().st_mtime)
    release = Release.model_validate_json(manifest.read_bytes())
    faults = read_faults(lake / FAULTS_FILE)
    reached = planted_in_release(faults, released_refs(release))
    total = sum(reached.values())
    share = 100 * total / max(1, len(release.rows))
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(reached.items()) if count) or "none"
    sys.stdout.write(
        f"planted faults in the release: {total} of {len(faults)} planted, {share:.1f} % "
        f"of its {len(release.rows)} rows ({kinds})\n"
    )


def released_refs(release: Release) -> list[RowRef]:
    """Return the rows of the lake that a release holds, as (file relative to the lake, row)."""
    refs = []
    for row in release.rows:
        file, _, number = row.source_ref.rpartition("#")
        refs.append((file.removeprefix("lake/"), int(number)))
    return refs


if __name__ == "__main__":
    sys.exit(main())
