"""Everything is lost but a copy of the broker's folder: the releases that follow are those that would have been."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.processes import ManagedProcess, running, wait_until
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.settings import BrokerSettings
from schemas.release import Release
from schemas.topics import RELEASES
from tests.support.local_flow import rows, write_lake
from tests.support.services import RUNNING, Place, place
from tests.support.stack import need_broker, until

pytestmark = pytest.mark.kafka
WINDOW, FILE = 100, 150


@contextmanager
def broker_in(folder: Path) -> Iterator[tuple[ManagedProcess, str]]:
    """Run a broker on the data of a folder."""
    need_broker()
    broker = KafkaBroker(folder)
    with running(broker.spec()) as process:
        yield process, broker.bootstrap


def released(bootstrap: str) -> dict[int, bytes]:
    """Return the manifests by window."""
    transport = KafkaTransport(BrokerSettings(bootstrap_servers=bootstrap))
    found = [record.value or b"" for record in transport.reader.read([RELEASES])]
    transport.close()
    return {Release.model_validate_json(value).window: value for value in found}


def spec(folder: Path) -> str:
    path = folder / "run.yaml"
    wanted = {
        "name": "kept",
        "sources": [{"path": "lake/*", "domain": "mathematics", "follow": True, "settle_seconds": 0.0}],
        "score": {"ifd": None, "embedding": False},
        "select": {"target": 10, "window": {"count": WINDOW}},
        "export": {"formats": ["jsonl"]},
    }
    path.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    return str(path)


def test_the_next_release_is_the_one_that_would_have_been(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    write_lake(work, "1.jsonl", rows(FILE))
    with broker_in(tmp_path / "first") as (process, bootstrap), _started(work, bootstrap) as here:
        # Asked before the broker has a coordinator for any group, librdkafka's admin client would crash.
        transport = KafkaTransport(BrokerSettings(bootstrap_servers=bootstrap))
        transport.ensure_topics()
        assert set(transport.offsets.committed("nobody", "samples.raw").values()) == {0}
        transport.close()
        submitted = here.limoflow("run", spec(work), "--detach")
        assert submitted.returncode == 0, submitted.stderr
        (run_id,) = re.findall(r"run (kept-\w+) submitted", submitted.stdout)
        until(lambda: 0 in released(bootstrap), 120.0, "the first release")

        _copy(process, tmp_path / "first" / "kafka" / "data", tmp_path / "copy" / "kafka" / "data")
        write_lake(work, "2.jsonl", rows(FILE, start=FILE))
        until(lambda: 1 in released(bootstrap), 120.0, "the second release")
        before = released(bootstrap)
        process.kill()
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(work / "home", ignore_errors=True)

    with broker_in(tmp_path / "copy") as (_, bootstrap), _started(work, bootstrap) as here:
        assert 1 not in released(bootstrap), "the copy was to be older than the second release"
        until(lambda: 1 in released(bootstrap), 120.0, "the second release, again")
        assert here.limoflow("close", run_id).returncode == 0
        until(lambda: 2 in released(bootstrap), 120.0, "the last release")
        after = released(bootstrap)
        assert {window: after[window] for window in before} == before
        audited = here.limoflow("audit", run_id)
        assert "audit passed" in audited.stdout, audited.stdout + audited.stderr + here.logs()
        # The folder of the first release went with the disk; it is written again from the topics.
        release = Release.model_validate_json(after[0]).release_id
        again = here.limoflow("release", "export", release, "-o", "again")
        assert again.returncode == 0, again.stderr
        assert len(next((work / "again").rglob("*.jsonl")).read_text(encoding="utf-8").splitlines()) == 10


@contextmanager
def _started(folder: Path, bootstrap: str) -> Iterator[Place]:
    with place(folder, lambda _user: {"LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS": bootstrap}) as here:
        here.start(*RUNNING)
        yield here


def _copy(process: ManagedProcess, data: Path, target: Path) -> None:
    """Copy as a snapshot of a volume does: everything as of one moment, while the broker runs."""
    assert process._child is not None
    target.parent.mkdir(parents=True)
    process._child.send_signal(signal.SIGSTOP)
    try:
        # Kafka's indexes are files with holes; written out they take a thousand times as much.
        subprocess.run(["cp", "-a", "--sparse=always", data, target], check=True, timeout=60)
    finally:
        process._child.send_signal(signal.SIGCONT)
    assert wait_until(process.is_ready, 60.0)
