from pathlib import Path

import pytest

from limoflow.errors import StackError
from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.ports import is_free
from tests.unit.stack.fake_programs import FakePrograms


@pytest.fixture
def broker(programs: FakePrograms, tmp_path: Path) -> KafkaBroker:
    programs.add_java()
    programs.add_maven()
    return KafkaBroker(tmp_path / "state", cache=tmp_path / "cache")


def properties(broker: KafkaBroker) -> dict[str, str]:
    lines = (broker.folder / "server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_configuration_listens_on_loopback_and_keeps_its_promises(broker: KafkaBroker) -> None:
    spec = broker.spec()
    written = properties(broker)
    assert written["listeners"] == (
        f"PLAINTEXT://127.0.0.1:{broker.port},CONTROLLER://127.0.0.1:{broker.controller_port}"
    )
    assert broker.bootstrap == f"127.0.0.1:{broker.port}"
    assert written["log.dirs"] == str(broker.folder / "data")
    assert written["auto.create.topics.enable"] == "false"
    assert int(written["message.max.bytes"]) == int(written["replica.fetch.max.bytes"]) == 64 << 20
    assert int(written["broker.heartbeat.interval.ms"]) * 3 <= int(written["broker.session.timeout.ms"])
    assert spec.ports == {"kafka": broker.port, "controller": broker.controller_port}
    assert spec.command[-2:] == ("kafka.Kafka", str(broker.folder / "server.properties"))
    assert not spec.ready()


def test_ports_are_held_until_the_process_starts(broker: KafkaBroker) -> None:
    spec = broker.spec()
    assert not is_free(broker.port)
    spec.clean()
    assert is_free(broker.port)
    assert is_free(broker.controller_port)


def test_a_given_port_is_used(programs: FakePrograms, broker: KafkaBroker, tmp_path: Path) -> None:
    fixed = KafkaBroker(tmp_path / "other", port=19999, cache=tmp_path / "cache")
    fixed.spec()
    assert fixed.bootstrap == "127.0.0.1:19999"
    assert fixed.controller_port != 19999
    assert "127.0.0.1:19999," in properties(fixed)["listeners"]


def test_storage_is_formatted_once(programs: FakePrograms, broker: KafkaBroker, tmp_path: Path) -> None:
    broker.spec()
    KafkaBroker(tmp_path / "state", cache=tmp_path / "cache").spec()
    formats = [call for call in programs.calls("java") if "StorageTool format" in call]
    assert len(formats) == 1
    assert (broker.folder / "data").is_dir()


def test_half_a_format_does_not_count(programs: FakePrograms, broker: KafkaBroker) -> None:
    programs.broken.touch()
    with pytest.raises(StackError, match=r"(?s)could not format.*cannot format"):
        broker.spec()
    assert not (broker.folder / "data").exists()
    (broker.folder / "data.unfinished" / "stale").touch()
    programs.broken.unlink()
    broker.spec()
    assert list((broker.folder / "data").iterdir()) == []
