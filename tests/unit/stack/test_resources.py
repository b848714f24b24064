from pathlib import Path

import pytest

from limoflow import resources
from limoflow.errors import UsageError
from limoflow.resources import resource
from limoflow.stack.paths import cache_folder, state_folder


def test_the_checkout_comes_first() -> None:
    root = Path(__file__).resolve().parents[3]
    assert resource("deploy/local/kafka/pom.xml") == root / "deploy" / "local" / "kafka" / "pom.xml"


def test_an_installed_package_has_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "limoflow"
    copy = package / "_resources" / "deploy" / "local" / "kafka" / "pom.xml"
    copy.parent.mkdir(parents=True)
    copy.touch()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resource("deploy/local/kafka/pom.xml") == copy


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    with pytest.raises(UsageError, match=r"'deploy/none' is missing.*reinstall"):
        resource("deploy/none")


def test_folders_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIMOFLOW_HOME", raising=False)
    monkeypatch.delenv("LIMOFLOW_CACHE", raising=False)
    assert state_folder() == tmp_path / ".limoflow"
    assert cache_folder() == Path.home() / ".cache" / "limoflow"
    monkeypatch.setenv("LIMOFLOW_HOME", "here")
    monkeypatch.setenv("LIMOFLOW_CACHE", str(tmp_path / "there"))
    assert state_folder() == tmp_path / "here"
    assert cache_folder() == tmp_path / "there"
