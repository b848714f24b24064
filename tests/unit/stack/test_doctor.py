from pathlib import Path

import pytest

from limoflow.errors import StackError
from limoflow.stack import doctor
from limoflow.stack.doctor import Check, checks
from limoflow.stack.jars import jars_folder
from tests.unit.stack.fake_programs import FakePrograms


def by_name(found: list[Check]) -> dict[str, Check]:
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def test_a_bare_machine_is_told_what_to_install(programs: FakePrograms, tmp_path: Path) -> None:
    found = by_name(checks(tmp_path / "no-venv", tmp_path / "state", tmp_path / "cache"))
    for name in ("Java", "Maven", "Kafka jars", "Triton"):
        assert not found[name].ok
        assert found[name].how_to_fix
    assert "openjdk-17" in found["Java"].how_to_fix
    assert found["Triton"].how_to_fix == "make venv-triton"
    assert found["Python"].ok
    assert found["ports"].ok
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "cache").exists()


def test_with_java_and_maven_kafka_can_be_fetched(programs: FakePrograms, tmp_path: Path) -> None:
    programs.add_java("21.0.1")
    programs.add_maven()
    found = by_name(checks(tmp_path / "no-venv", tmp_path / "state", tmp_path / "cache"))
    assert found["Java"].ok
    assert found["Java"].found.startswith("21 ")
    assert found["Maven"].ok
    assert found["Kafka jars"].ok
    assert not programs.calls("mvn")


def test_with_the_jars_in_the_cache_maven_is_not_needed(programs: FakePrograms, tmp_path: Path) -> None:
    jars_folder(tmp_path / "cache").mkdir(parents=True)
    found = by_name(checks(tmp_path / "no-venv", tmp_path / "state", tmp_path / "cache"))
    assert found["Maven"].ok
    assert found["Kafka jars"].ok


def test_an_old_java_does_not_do(programs: FakePrograms, tmp_path: Path) -> None:
    programs.add_java("1.8.0_392")
    java = by_name(checks(tmp_path / "no-venv"))["Java"]
    assert not java.ok
    assert java.found.startswith("8 ")


def test_a_folder_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = doctor.check_writable("state folder", tmp_path / "file" / "state")
    assert not check.ok
    assert "LIMOFLOW_HOME" in check.how_to_fix


@pytest.mark.parametrize(
    ("bound", "name"),
    [
        ("_DISK_GIB", "disk space"),
        ("_MEMORY_GIB", "memory"),
        ("_SHARED_MEMORY_GIB", "shared memory"),
    ],
)
def test_too_little_space_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, name: str) -> None:
    monkeypatch.setattr(doctor, bound, 1e9)
    assert not by_name(checks(tmp_path))[name].ok
    monkeypatch.setattr(doctor, bound, 0.0)
    assert by_name(checks(tmp_path))[name].ok


def test_no_ports_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(count: int) -> None:
        raise StackError(f"only 0 of {count}")

    monkeypatch.setattr(doctor, "PortReservation", refuse)
    check = doctor.check_ports()
    assert not check.ok
    assert "only 0" in check.found
