from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limoflow.errors import DependencyUnavailable
from limoflow.release_rows import RowPatience
from limoflow.stream.dead_letters import read_dead_letter
from limoflow.stream.types import Record, TopicPartition
from schemas.export import Export
from schemas.headers import header_text
from schemas.topics import EXPORTS, RELEASES
from services.exporter.app import ExporterSettings, task
from tests.unit.exporter.exporter_cases import SAMPLES, Log, a_release, a_sample, log_of, release_record, tree

RELEASE = a_release(SAMPLES)
WHERE = "sums/run-1/window-00003-" + RELEASE.release_id[:12]


def exporter(root, log=None, **options):
    chosen = log if log is not None else log_of(RELEASE, SAMPLES)
    return task(ExporterSettings(folder=root), chosen, patience=RowPatience(attempts=1), **options)


def letter(emit):
    assert emit.topic == "dlq.exporter"
    return read_dead_letter(Record(emit.topic, 0, 0, emit.key, emit.value, emit.headers))


def test_a_release_becomes_a_folder_and_an_event(tmp_path):
    seen = []
    (emit,) = exporter(tmp_path, on_export=lambda export, seconds: seen.append((export.rows, seconds >= 0))).process(
        [release_record(RELEASE)]
    )
    export = Export.model_validate_json(emit.value)
    assert (emit.topic, emit.key) == (EXPORTS, RELEASE.release_id.encode())
    assert header_text(emit.headers, "ce_releaseid") == RELEASE.release_id
    assert Path(export.folder) == tmp_path / WHERE
    assert (export.rows, export.window, export.run_id) == (7, 3, "run-1")
    assert set(export.files) == set(tree(tmp_path / WHERE))
    assert seen == [(7, True)]


def test_a_repeat_keeps_the_folder_and_says_the_same(tmp_path):
    first = list(exporter(tmp_path).process([release_record(RELEASE)]))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / WHERE).rglob("*")}
    again = list(exporter(tmp_path, Log()).process([release_record(RELEASE)]))
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / WHERE).rglob("*")} == before


@pytest.mark.parametrize("damage", ["changed", "gone", "export.json gone", "export.json broken"])
def test_a_damaged_folder_is_written_anew(tmp_path, damage):
    exporter(tmp_path).process([release_record(RELEASE)])
    folder = tmp_path / WHERE
    before = tree(folder)
    name = "export.json" if damage.startswith("export.json") else "samples.jsonl"
    (folder / name).unlink()
    if damage in ("changed", "export.json broken"):
        (folder / name).write_bytes(b"damage")
    exporter(tmp_path).process([release_record(RELEASE)])
    assert tree(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_tombstone_is_passed_over(tmp_path):
    assert list(exporter(tmp_path).process([Record(RELEASES, 0, 0, b"run-1|3", None)])) == []


def test_missing_rows_make_a_dead_letter_that_names_them(tmp_path):
    log = log_of(RELEASE, SAMPLES[1:])
    (emit,) = exporter(tmp_path, log).process([release_record(RELEASE)])
    assert "id-000" in letter(emit).error
    assert emit.value == RELEASE.to_bytes()
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (a_release(SAMPLES, formats=["parkuet"]), "did you mean 'parquet'"),
        (a_release(SAMPLES, run_id="../out"), "cannot name a folder"),
        (a_release(SAMPLES, name=".."), "cannot name a folder"),
        (a_release(SAMPLES, spec={"export": {"formats": 7}}), "export"),
    ],
)
def test_what_can_never_be_exported_is_a_dead_letter_and_the_next_release_goes_on(tmp_path, release, words):
    bad, good = exporter(tmp_path).process([release_record(release), release_record(RELEASE)])
    assert words in letter(bad).error
    assert good.topic == EXPORTS


def test_bytes_that_are_no_release_are_a_dead_letter(tmp_path):
    (emit,) = exporter(tmp_path).process([Record(RELEASES, 0, 4, b"k", b"\xff{", (), 1)])
    assert letter(emit).error_class == "PoisonError"
    assert emit.value == b"\xff{"


def test_a_format_that_raises_is_a_dead_letter_not_a_crash(tmp_path, monkeypatch):
    def broken(data, target):
        raise ZeroDivisionError("never mind")

    monkeypatch.setattr("services.exporter.text_formats.chat", broken)
    (emit,) = exporter(tmp_path).process([release_record(RELEASE)])
    assert "'chat'" in letter(emit).error
    assert "ZeroDivisionError" in letter(emit).error
    assert list((tmp_path / "sums/run-1").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def big(count=60):
    samples = [a_sample(index, filler=os.urandom(1500).hex()) for index in range(count)]
    release = a_release(samples)
    return release, log_of(release, samples)


def test_a_full_disk_waits_leaves_nothing_and_goes_on_when_there_is_room(small_disk):
    release, log = big()
    service = exporter(small_disk, log)
    with pytest.raises(DependencyUnavailable, match=r"No space left.*make room"):
        service.process([release_record(release)])
    assert list((small_disk / "sums/run-1").iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    (emit,) = service.process([release_record(release)])
    assert Export.model_validate_json(emit.value).rows == 60


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("seam", ["write", "fsync", "rename"])
def test_whatever_the_disk_refuses_the_release_waits_whole(tmp_path, monkeypatch, number, seam):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if seam == "write":
            patch.setattr("services.exporter.folder.HashedFile.write", refuse)
        else:
            patch.setattr(os if seam == "fsync" else Path, seam, refuse)
        with pytest.raises(DependencyUnavailable, match=os.strerror(number)):
            exporter(tmp_path).process([release_record(RELEASE)])
    assert list((tmp_path / "sums/run-1").iterdir()) == []
    (emit,) = exporter(tmp_path).process([release_record(RELEASE)])
    assert emit.topic == EXPORTS


KILLED = """
import os, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from tests.unit.exporter.exporter_cases import *
from services.exporter import text_formats
from services.exporter.app import ExporterSettings, task
def hang(data, target):
    with target.open("chat.jsonl") as file:
        file.write(b"half")
        print("writing", flush=True)
        time.sleep(600)
text_formats.chat = hang
release = a_release(SAMPLES)
task(ExporterSettings(folder=Path(sys.argv[1])), log_of(release, SAMPLES)).process([release_record(release)])
"""


def test_what_a_killed_exporter_leaves_is_never_seen_and_cleaned_at_the_next_start(tmp_path):
    program = KILLED.format(path=[str(Path(__file__).resolve().parents[3])])
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    process.kill()
    process.wait()
    process.stdout.close()
    parent = tmp_path / "sums/run-1"
    left = list(parent.iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".")
    service = exporter(tmp_path)
    service.assigned([TopicPartition(RELEASES, 0)])
    assert list(parent.iterdir()) == []
    service.process([release_record(RELEASE)])
    assert [path.name for path in parent.iterdir()] == [Path(WHERE).name]


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LIMOFLOW_EXPORTER_FOLDER", "/somewhere")
    assert ExporterSettings().folder == Path("/somewhere")
