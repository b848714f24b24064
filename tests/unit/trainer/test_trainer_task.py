from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from limoflow.errors import DependencyUnavailable
from limoflow.release_rows import RowPatience
from limoflow.stream.dead_letters import read_dead_letter
from limoflow.stream.types import Record
from schemas.base import digest
from schemas.headers import header_text
from schemas.model import TrainedModel
from schemas.topics import MODELS, RELEASES
from services.trainer.app import TrainerSettings, task
from services.trainer.fit import fit
from services.trainer.task import TrainerTask
from tests.unit.trainer.tiny import (
    SAMPLES,
    TRAIN,
    Log,
    a_job,
    a_release,
    files_of,
    release_record,
    run_record,
)

RELEASE = a_release()
ROOT = Path(__file__).resolve().parents[3]
LONG = TRAIN.model_copy(update={"epochs": 400, "checkpoint_steps": 5})


def trainer(root, base=None, *, release=RELEASE, on_step=None, run=True, **settings) -> TrainerTask:
    chosen = TrainerSettings(folder=root, threads=1, **settings)
    service = task(chosen, Log(release), patience=RowPatience(attempts=1), on_step=on_step)
    if run:
        service.observe([run_record(base)])
    return service


def letter(emit):
    assert emit.topic == "dlq.trainer"
    return read_dead_letter(Record(emit.topic, 0, 0, emit.key, emit.value, emit.headers))


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    steps = []
    service = trainer(root, base, on_step=lambda release, step: steps.append((release.release_id, step)))
    (emit,) = service.process([release_record(RELEASE)])
    return root, emit, steps


def test_a_release_becomes_an_adapter_and_an_event(trained, base):
    root, emit, _ = trained
    model = TrainedModel.model_validate_json(emit.value)
    assert (emit.topic, emit.key) == (MODELS, model.model_id.encode())
    assert header_text(emit.headers, "ce_releaseid") == RELEASE.release_id
    assert (model.run_id, model.window, model.rows, model.steps) == ("run-1", 0, 24, 12)
    assert (model.release_id, model.base_model, model.method) == (RELEASE.release_id, str(base), "lora")
    assert Path(model.adapter) == root / "run-1" / model.model_id
    assert model.files == {name: digest(content) for name, content in files_of(Path(model.adapter)).items()}
    assert len(model.losses) == 12
    assert model.losses[-1].loss < model.losses[0].loss
    assert [path.name for path in (root / "run-1").iterdir()] == [model.model_id]


def test_each_step_is_told(trained):
    _, _, steps = trained
    assert [step.step for _, step in steps] == list(range(1, 13))
    assert {(release, step.steps) for release, step in steps} == {(RELEASE.release_id, 12)}


def test_the_child_process_gives_the_bytes_of_the_same_training_here(trained, base, tmp_path):
    _, emit, _ = trained
    here = fit(a_job(base, tmp_path), lambda _: None)
    assert files_of(Path(TrainedModel.model_validate_json(emit.value).adapter)) == files_of(here)


def test_a_repeat_says_the_same_without_training(trained, base):
    root, emit, _ = trained
    told = []
    service = trainer(root, base, on_step=lambda *step: told.append(step))
    assert list(service.process([release_record(RELEASE)])) == [emit]
    assert told == []


def test_what_was_announced_is_not_announced_again(trained, base, tmp_path):
    _, emit, _ = trained
    service = trainer(tmp_path, base)
    service.observe([Record(MODELS, 0, 0, emit.key, emit.value)])
    assert list(service.process([release_record(RELEASE)])) == []


@pytest.mark.parametrize("release", [a_release([]), a_release(train=None)])
def test_no_rows_or_no_training_makes_no_model(base, tmp_path, release):
    assert list(trainer(tmp_path, base).process([release_record(release)])) == []
    assert list(tmp_path.iterdir()) == []


def test_a_tombstone_is_passed_over(base, tmp_path):
    assert list(trainer(tmp_path, base).process([Record(RELEASES, 0, 0, b"k", None)])) == []


def test_a_release_waits_for_its_run_and_in_the_end_is_a_dead_letter(tmp_path, base):
    now = [0.0]
    settings = TrainerSettings(folder=tmp_path, run_patience_s=60)
    service = TrainerTask(settings, Log(RELEASE), task(settings, Log())._dead_letter, clock=lambda: now[0])
    with pytest.raises(DependencyUnavailable, match="not announced yet"):
        service.process([release_record(RELEASE)])
    now[0] = 59.0
    with pytest.raises(DependencyUnavailable):
        service.process([release_record(RELEASE)])
    now[0] = 61.0
    (emit,) = service.process([release_record(RELEASE)])
    assert "within 60 s" in letter(emit).error


@pytest.mark.parametrize(
    ("release", "named", "words"),
    [
        (RELEASE, None, "names no base model"),
        (RELEASE, "missing", "config.json"),
        (a_release(spec={"train": {"epochs": 0}}), "missing", "epochs"),
        (a_release(run_id="../out"), "missing", "cannot name a folder"),
    ],
)
def test_what_can_never_be_trained_is_a_dead_letter(tmp_path, release, named, words):
    service = trainer(tmp_path / "out", tmp_path / named if named else None, release=release)
    (emit,) = service.process([release_record(release)])
    assert words in letter(emit).error
    assert emit.value == release.to_bytes()


def test_missing_rows_make_a_dead_letter_that_names_them(base, tmp_path):
    release = a_release([*SAMPLES, SAMPLES[0].model_copy(update={"id": "lost"})])
    (emit,) = trainer(tmp_path, base, release=release).process([release_record(release)])
    assert "lost" in letter(emit).error


def test_a_folder_that_cannot_be_written_waits(base, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DependencyUnavailable, match="nothing is lost"):
        trainer(tmp_path / "file", base).process([release_record(RELEASE)])


def test_a_training_that_is_killed_goes_on_from_its_checkpoint_and_ends_with_the_same_bytes(base, tmp_path):
    train = TRAIN.model_copy(update={"epochs": 20, "checkpoint_steps": 5})
    release = a_release(train=train)
    steps: list[int] = []

    def kill_once(_, step) -> None:
        steps.append(step.step)
        if len(steps) == 12:
            (child,) = psutil.Process().children()
            child.kill()

    (emit,) = trainer(tmp_path / "killed", base, release=release, on_step=kill_once).process([release_record(release)])
    whole = fit(a_job(base, tmp_path / "whole", train), lambda _: None)
    assert files_of(Path(TrainedModel.model_validate_json(emit.value).adapter)) == files_of(whole)
    (resumed,) = [second for first, second in itertools.pairwise(steps) if second != first + 1]
    assert resumed >= 11
    assert resumed % 5 == 1
    assert steps[-1] == 120


def with_program(monkeypatch, tmp_path, *lines: str) -> Path:
    """Let the child be a shell program that also notes each start in the file that is returned."""
    starts = tmp_path / "starts"
    program = tmp_path / "program"
    program.write_text("\n".join(["#!/bin/sh", f"echo started >> {starts}", *lines]))
    program.chmod(0o755)
    monkeypatch.setattr("services.trainer.child.sys.executable", str(program))
    monkeypatch.setattr("services.trainer.task.BACKOFF_S", 0.0)
    return starts


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kill -9 $$", "signal 9"),
        ("echo ValueError: odd >&2; exit 3", "code 3: ValueError: odd"),
        ("""echo '{"error": "disk is odd", "class": ""}'; exit 1""", "code 1: disk is odd"),
    ],
)
def test_a_child_that_always_fails_is_tried_three_times_and_then_a_dead_letter(
    base, tmp_path, monkeypatch, line, words
):
    starts = with_program(monkeypatch, tmp_path, line)
    (emit,) = trainer(tmp_path / "out", base).process([release_record(RELEASE)])
    assert words in letter(emit).error
    assert RELEASE.release_id in letter(emit).error
    assert len(starts.read_text().splitlines()) == 3


def test_a_training_that_the_child_refuses_is_a_dead_letter_at_once(base, tmp_path, monkeypatch):
    starts = with_program(
        monkeypatch, tmp_path, """echo '{"error": "the loss is nan", "class": "TrainingError"}'""", "exit 1"
    )
    (emit,) = trainer(tmp_path / "out", base).process([release_record(RELEASE)])
    assert letter(emit).error == "the loss is nan"
    assert len(starts.read_text().splitlines()) == 1


def test_a_full_disk_that_the_child_met_waits(base, tmp_path, monkeypatch):
    line = """echo '{"error": "No space left on device", "class": "DependencyUnavailable"}'"""
    starts = with_program(monkeypatch, tmp_path, line, "exit 1")
    with pytest.raises(DependencyUnavailable, match="No space left"):
        trainer(tmp_path / "out", base).process([release_record(RELEASE)])
    assert len(starts.read_text().splitlines()) == 1


def test_stop_ends_the_training_at_once_and_its_checkpoint_stays(base, tmp_path):
    release = a_release(train=LONG)
    reached = threading.Event()
    service = trainer(
        tmp_path, base, release=release, on_step=lambda _, step: reached.set() if step.step >= 12 else None
    )
    raised: list[BaseException] = []

    def work() -> None:
        try:
            service.process([release_record(release)])
        except DependencyUnavailable as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert reached.wait(120)
    children = psutil.Process().children()
    service.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert "was stopped" in str(raised[0])
    assert not any(child.is_running() and "services.trainer.fit" in child.cmdline() for child in children)
    (work_folder,) = (tmp_path / "run-1").iterdir()
    assert work_folder.name.startswith(".")
    assert (work_folder / "checkpoint.pt").is_file()
    with pytest.raises(DependencyUnavailable, match="stopping"):
        service.process([release_record(release)])


PARENT = """
import sys
from pathlib import Path
import psutil
from services.trainer.app import TrainerSettings, task
from tests.unit.trainer.tiny import *
release = a_release(train=TRAIN.model_copy(update={"epochs": 400}))
def told(_, step):
    if step.step == 1:
        print(psutil.Process().children()[0].pid, flush=True)
service = task(TrainerSettings(folder=Path(sys.argv[1]), threads=1), Log(release), on_step=told)
service.observe([run_record(Path(sys.argv[2]))])
service.process([release_record(release)])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_child_does_not_outlive_a_killed_trainer(base, tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(base)], stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ)
    )
    with parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))
        assert "services.trainer.fit" in child.cmdline()
        parent.kill()
        parent.wait()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_service_itself_does_not_load_torch():
    program = "import sys, services.trainer.app; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LIMOFLOW_TRAINER_FOLDER", "/somewhere")
    monkeypatch.setenv("LIMOFLOW_TRAINER_THREADS", "4")
    assert TrainerSettings().folder == Path("/somewhere")
    assert TrainerSettings().threads == 4
