"""Names mean weights, and a model repository holds whole models or none."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from limoflow.errors import MissingDependency, UsageError
from models import embedding
from models.catalog import ModelCatalog, model_name
from models.embedding import embedder_path
from models.repository import TEMPLATES, first_models, install_language_model, prepare


def no_hub(name: str) -> Path:
    raise MissingDependency(name)


def test_an_embedded_model_is_found_by_key_and_by_name(causal_folder: Path) -> None:
    catalog = ModelCatalog(causal_folder.parents[1], no_hub)
    name = catalog.resolve(f"embedded:{causal_folder.name}")
    assert name == f"ifd-{causal_folder.name[:12]}"
    assert catalog.path(name) == causal_folder
    assert catalog.models() == [(name, causal_folder)]


def test_a_path_gets_a_name_of_its_content(causal_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(causal_folder, tmp_path / "copy"))
    catalog = ModelCatalog(tmp_path / "root", no_hub)
    name = catalog.resolve(str(causal_folder))
    assert catalog.resolve(str(copy)) == name == catalog.resolve(str(copy))
    assert catalog.path(name).resolve() == copy
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert catalog.resolve(str(copy)) != name


def test_a_hub_name_is_looked_up_and_then_a_folder_like_any_other(causal_folder: Path, tmp_path: Path) -> None:
    catalog = ModelCatalog(tmp_path, lambda name: causal_folder if name == "org/small" else no_hub(name))
    assert catalog.path(catalog.resolve("org/small")).resolve() == causal_folder


def test_a_hub_name_that_is_not_in_the_local_cache_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingDependency, match="hf download nobody/nothing"):
        ModelCatalog(tmp_path).resolve("nobody/nothing")
    with pytest.raises(UsageError, match="neither a folder nor a hub name"):
        ModelCatalog(tmp_path).resolve("no/such/folder/here")


@pytest.mark.parametrize("model", ["embedded", "embedded:", "embedded:abc", "embedded:" + "0" * 64])
def test_an_embedded_model_that_was_not_built_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ModelCatalog(tmp_path, no_hub).resolve(model)


@pytest.mark.parametrize("name", ["embedder", "ifd-", "ifd-../../etc", "ifd-0123456789ab"])
def test_a_name_that_means_nothing_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ModelCatalog(tmp_path, no_hub).path(name)
    with pytest.raises(UsageError):
        model_name("xyz")


def test_the_newest_model_is_the_one_that_came_last(causal_folder: Path, tmp_path: Path) -> None:
    catalog = ModelCatalog(tmp_path)
    assert catalog.newest() is None
    for age, key in ((20, "b" * 16), (10, "a" * 16), (30, "c" * 16)):
        folder = tmp_path / "models" / key
        shutil.copytree(causal_folder, folder)
        os.utime(folder, (time.time() - age, time.time() - age))
    assert catalog.newest() == model_name("a" * 16)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json"):
        ModelCatalog(tmp_path, no_hub).resolve(str(tmp_path))
    with pytest.raises(UsageError, match=r"no config\.json"):
        install_language_model(tmp_path / "repository", "ifd-x", tmp_path)
    with pytest.raises(UsageError, match=r"no config\.json"):
        embedder_path(str(tmp_path))


def test_without_package_or_folder_there_is_no_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(MissingDependency, match="a-package-that-nobody-has"):
        embedder_path()


def test_the_repository_holds_the_embedder_and_every_known_model(causal_folder: Path, tmp_path: Path) -> None:
    prepare(TEMPLATES, tmp_path, catalog_root=causal_folder.parents[1], dtype="bfloat16", instances=2)
    name = f"ifd-{causal_folder.name[:12]}"
    assert {path.name for path in tmp_path.iterdir()} == {"embedder", name}
    assert (tmp_path / "embedder" / "1" / "model.py").is_file()
    config = (tmp_path / "embedder" / "config.pbtxt").read_text()
    assert "count: 2" in config
    assert 'key: "dtype" value: { string_value: "bfloat16" }' in config
    causal = (tmp_path / name / "config.pbtxt").read_text()
    assert f'name: "{name}"' in causal
    assert f'string_value: "{causal_folder}"' in causal
    assert 'name: "INSTRUCTION" data_type' in causal


def test_installing_again_changes_nothing_and_another_model_replaces_the_first(
    causal_folder: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    first = install_language_model(repository, "ifd-a", causal_folder)
    inode = first.stat().st_ino
    assert install_language_model(repository, "ifd-a", causal_folder).stat().st_ino == inode
    other = Path(shutil.copytree(causal_folder, tmp_path / 'odd "name" \\'))
    install_language_model(repository, "ifd-a", other)
    assert r"odd \"name\" \\" in (first / "config.pbtxt").read_text()
    assert [path.name for path in repository.iterdir()] == ["ifd-a"]
    assert not list(tmp_path.glob(".*"))


def test_a_server_sees_no_folder_that_is_not_whole_yet(
    causal_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, seen = tmp_path / "repository", []
    copy = shutil.copytree

    def looked_at(*arguments: Any, **options: Any) -> Any:
        made = copy(*arguments, **options)
        seen.append([path.name for path in repository.iterdir()])
        return made

    monkeypatch.setattr(shutil, "copytree", looked_at)
    install_language_model(repository, "ifd-a", causal_folder)
    assert seen
    assert not any(seen)


def test_a_server_begins_with_the_embedder_and_the_newest_model_alone(causal_folder: Path, tmp_path: Path) -> None:
    assert first_models(tmp_path) == ("embedder",)
    assert first_models(causal_folder.parents[1]) == ("embedder", f"ifd-{causal_folder.name[:12]}")


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "名"])
def test_a_name_that_is_no_folder_name_is_refused(name: str, causal_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="model name"):
        install_language_model(tmp_path / "repository", name, causal_folder)


def test_instances_must_be_positive_and_the_template_must_fit(causal_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 instances"):
        prepare(TEMPLATES, tmp_path / "repository", instances=0)
    template = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    (template / "ifd" / "config.pbtxt").write_text('name: "ifd"\n')
    with pytest.raises(UsageError, match="the parameter model_dir once"):
        install_language_model(tmp_path / "repository", "ifd-a", causal_folder, template_dir=template)
    assert not (tmp_path / "repository" / "ifd-a").exists()
