"""The training process as its parent sees it: started, listened to, stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from limoflow.errors import DependencyUnavailable, TrainingError
from limoflow.lifeline import PARENT
from models.device import CUDA, no_gpu
from services.trainer.job import Job, Step

KILL_AFTER_S = 10.0
TAIL_BYTES = 2000
SOURCE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a training process ended: its return code (negative: the signal) and its own words."""

    code: int
    error: str
    kind: str


class TrainingProcess:
    """Runs one job at a time in a child process, so that the service stays small and can stop at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the training that runs, and start no more. Its checkpoint stays. May be called from any thread."""
        self._stopped.set()
        with self._lock:
            if self._process is not None:
                self._process.terminate()

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until `stop`."""
        self._stopped.wait(seconds)

    def run(self, job: Job, progress: Callable[[Step], None]) -> None:
        """Run a job to its end; `progress` gets each step.

        Raises
        ------
        DependencyUnavailable
            When stopped, or when the child met something that passes (a full disk, another process on the same job).
        TrainingError
            When the training failed; `permanent` failures have the words of the child.
        """
        ended = self._listen(job, progress)
        if ended.code == 0:
            return
        if self.stopped:
            raise DependencyUnavailable(
                f"training of release {job.release_id} was stopped; it goes on from its checkpoint in {job.work}"
            )
        if ended.kind == DependencyUnavailable.__name__:
            raise DependencyUnavailable(f"training of release {job.release_id} waits: {ended.error}")
        if ended.kind == TrainingError.__name__:
            raise RefusedTraining(ended.error)
        how = f"signal {-ended.code}" if ended.code < 0 else f"code {ended.code}"
        raise TrainingError(f"training of release {job.release_id} ended with {how}: {ended.error}")

    def _listen(self, job: Job, progress: Callable[[Step], None]) -> Ended:
        log = Path(job.work) / "stderr.log"
        said: dict[str, Any] = {}
        with log.open("wb") as stderr:
            process = self._start(job, stderr.fileno())
            try:
                assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
                for line in process.stdout:
                    said = orjson.loads(line)
                    if "step" in said:
                        progress(Step(**said))
            finally:
                code = self._reap(process)
        tail = log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace").strip()
        return Ended(code, str(said.get("error") or tail or "it said nothing"), str(said.get("class") or ""))

    def _start(self, job: Job, stderr: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.stopped:
                raise DependencyUnavailable(f"release {job.release_id} is not trained: the trainer is stopping")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.trainer.fit", str(job.file)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(job.threads),
            )
            return self._process

    def _reap(self, process: subprocess.Popen[bytes]) -> int:
        if process.stdout is not None:
            process.stdout.close()
        try:
            return process.wait(KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            with self._lock:
                self._process = None


def check_device(setting: str) -> None:
    """Refuse `cuda` where torch sees no GPU, before a release waits for one.

    Raises
    ------
    UsageError
    """
    if setting != CUDA:
        return
    # torch is asked in a process of its own, so that the service stays small.
    asked = "import torch; print(torch.cuda.is_available())"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    if told.stdout.strip() != "True":
        raise no_gpu(setting)


class RefusedTraining(TrainingError):
    """The child says that this training can never succeed; trying again is of no use."""


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join(part for part in (str(SOURCE), os.environ.get("PYTHONPATH", "")) if part)
    return os.environ | {
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(threads),
        # Waiting threads that spin take the cores from one another on a busy machine: a step took 5 times as long.
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        PARENT: str(os.getpid()),
    }
