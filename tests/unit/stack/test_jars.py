import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limoflow.errors import MissingDependency
from limoflow.stack.jars import jars_folder, java, java_version, kafka_jars, kafka_version
from tests.unit.stack.fake_programs import FakePrograms


def test_the_version_is_that_of_the_pom() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", kafka_version())


@pytest.mark.parametrize(("text", "version"), [("17.0.15", 17), ("1.8.0_392", 8), ("21", 21), ("odd", None)])
def test_java_versions_old_and_new(programs: FakePrograms, text: str, version: int | None) -> None:
    programs.add_java(text)
    assert java_version(programs.folder / "java") == version


def test_java_home_comes_first(programs: FakePrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add_java()
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (programs.folder / "java").rename(home / "bin" / "java")
    programs.add_java("11.0.2")
    with pytest.raises(MissingDependency, match="is version 11"):
        java()
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java() == home / "bin" / "java"


def test_without_java_the_message_says_what_to_install(programs: FakePrograms) -> None:
    with pytest.raises(MissingDependency, match=r"Java 17 or newer, and none was found: install .*openjdk-17"):
        java()


def test_a_broken_java_counts_as_none(programs: FakePrograms, tmp_path: Path) -> None:
    assert java_version(tmp_path / "no-such-java") is None


def test_without_maven_the_message_says_what_to_install(programs: FakePrograms, tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="install maven"):
        kafka_jars(tmp_path / "cache")


def test_jars_are_fetched_once_by_whoever_comes_first(programs: FakePrograms, tmp_path: Path) -> None:
    programs.add_maven()
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(kafka_jars, [tmp_path / "cache"] * 4))
    assert folders == {jars_folder(tmp_path / "cache")}
    assert len(programs.calls("mvn")) == 1
    assert [jar.name for jar in folders.pop().iterdir()] == ["kafka_2.13-fake.jar"]


def test_a_failed_fetch_says_why_and_leaves_no_half_of_it(programs: FakePrograms, tmp_path: Path) -> None:
    programs.add_maven()
    programs.broken.touch()
    with pytest.raises(MissingDependency, match=r"(?s)exit code 1.*cannot resolve"):
        kafka_jars(tmp_path / "cache")
    assert not [entry for entry in (tmp_path / "cache").iterdir() if entry.is_dir()]
    programs.broken.unlink()
    assert kafka_jars(tmp_path / "cache").is_dir()
