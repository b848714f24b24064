"""The programs that Kafka needs: a Java of 17 or newer, and the broker's jars, fetched once per user by Maven."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from limoflow.errors import MissingDependency, StackError
from limoflow.resources import resource
from limoflow.stack.paths import cache_folder
from limoflow.stack.processes import log_tail

OLDEST_JAVA = 17
_FETCH_TIMEOUT_S = 900.0


def kafka_version() -> str:
    """Version of Apache Kafka named by deploy/local/kafka/pom.xml."""
    found = re.search(r"<kafka\.version>([^<]+)<", resource("deploy/local/kafka/pom.xml").read_text(encoding="utf-8"))
    if found is None:
        raise StackError("deploy/local/kafka/pom.xml names no <kafka.version>")
    return found.group(1)


def java_program() -> Path | None:
    """Path of ``java``, from ``JAVA_HOME`` or the search path; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return Path(home) / "bin" / "java"
    found = shutil.which("java")
    return Path(found) if found else None


def java_version(program: Path) -> int | None:
    """Major version that a ``java`` program reports, or None where its answer cannot be read."""
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else None


def java() -> Path:
    """Find a Java that runs Kafka.

    Raises
    ------
    MissingDependency
        If there is none, or only an older one.
    """
    program = java_program()
    version = java_version(program) if program else None
    if program is None or version is None or version < OLDEST_JAVA:
        found = "none was found" if version is None else f"{program} is version {version}"
        raise MissingDependency(
            f"Kafka needs Java {OLDEST_JAVA} or newer, and {found}: install one (Debian, Ubuntu: apt-get install "
            "openjdk-17-jre-headless; macOS: brew install openjdk@17) or set JAVA_HOME; or use --local"
        )
    return program


def jars_folder(cache: Path | None = None) -> Path:
    """Folder in the cache that holds the broker's jars once they are fetched."""
    return (cache or cache_folder()) / f"kafka-{kafka_version()}-libs"


def kafka_jars(cache: Path | None = None) -> Path:
    """Give the folder with the broker's jars, fetched through Maven where the cache does not have them (about 43 MB).

    The folder appears complete or not at all; processes that ask at the same time fetch once.

    Raises
    ------
    MissingDependency
        If they must be fetched and Maven is missing or cannot get them.
    """
    folder = jars_folder(cache)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingDependency(
            f"the jars of Kafka {kafka_version()} are not in {folder} and Maven is not there to fetch them: install it "
            "(Debian, Ubuntu: apt-get install maven; macOS: brew install maven), or use --local"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.part-") as scratch:
        work = Path(scratch)
        shutil.copy(resource("deploy/local/kafka/pom.xml"), work / "pom.xml")
        command = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={work / 'libs'}"]
        log = folder.parent / f"{folder.name}.log"
        with log.open("wb") as output:
            code = _run_maven(command, work, output.fileno())
        if code != 0 or not any((work / "libs").glob("kafka_*.jar")):
            raise MissingDependency(
                f"Maven could not fetch Kafka {kafka_version()} (exit code {code}): check the network and Maven's "
                f"settings, then try again; the end of {log}:\n{log_tail(log)}"
            )
        (work / "libs").rename(folder)


def _run_maven(command: list[str], folder: Path, output: int) -> int:
    try:
        return subprocess.run(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, timeout=_FETCH_TIMEOUT_S, check=False
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise MissingDependency(
            f"Maven did not fetch Kafka within {_FETCH_TIMEOUT_S:g} s: check the network"
        ) from error
