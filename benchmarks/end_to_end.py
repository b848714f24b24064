"""GSM8K (or the demo lake, where the data set is absent) through real Kafka and Triton, against a bare load generator.

The load generator asks the same two Triton models for every row what the scorer asks, with as many requests in flight,
and does nothing else. Both rates come from the same stack in one go: load, run, load; the load
asks for every fifth row.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import psutil
import yaml

from benchmarks.figures import Figure
from examples.demo_lake.lake import build_lake
from limoflow.inference.triton import TritonModels
from limoflow.spec_file import load_spec
from limoflow.wiring.plan import plan_models
from schemas.run import RunSpec
from services.ingestor.texts import iter_texts
from tests.support.stack import REPOSITORY, Stack, running_stack

GSM8K = REPOSITORY.parent / "shared" / "data" / "gsm8k" / "train.jsonl"
IN_FLIGHT = 64
LOAD_STEP = 5
TARGET = 500
MEBIBYTE = 2**20


def measure() -> list[Figure]:
    """Return the rates, their ratio, and the memory of all processes together and of each service."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        spec_file = _spec_file(folder)
        spec = load_spec(spec_file)
        with running_stack(folder / "home", folder) as stack:
            models = plan_models(spec, folder, stack.home, print)
            pairs = list(iter_texts(spec, folder))
            memory = MemoryWatch(stack.state.supervisor_pid)
            first = _bare_rate(stack, models["ifd"], pairs[::LOAD_STEP])
            run_rate = _run_rate(stack, spec_file, len(pairs))
            second = _bare_rate(stack, models["ifd"], pairs[::LOAD_STEP])
            peaks = memory.stop()
            rows = len(stack.releases()[0].rows)
    bare = statistics.mean((first, second))
    total = peaks.pop("all")
    return [
        Figure("end to end: bare load on the two models", bare, "samples/s"),
        Figure("end to end: whole run", run_rate, "samples/s"),
        Figure("end to end: run / bare load", run_rate / bare, "", 0.7),
        Figure("end to end: rows in the release", rows, "rows", TARGET),
        Figure("end to end: memory of all processes", total / MEBIBYTE, "MiB", 6 * 1024, below=True),
        *(_service_memory(name, peak) for name, peak in sorted(peaks.items())),
    ]


def _service_memory(name: str, peak: float) -> Figure:
    bounded = name not in ("kafka", "triton", "trainer", "other")
    return Figure(f"memory: {name}", peak / MEBIBYTE, "MiB", 300 if bounded else None, below=True)


def _spec_file(folder: Path) -> Path:
    if GSM8K.exists():
        (folder / "lake").mkdir()
        (folder / "lake" / "train.jsonl").symlink_to(GSM8K)
        fields = {"instruction": "question", "response": "answer"}
        source = {"path": "lake/train.jsonl", "domain": "mathematics", "language": "en", "fields": fields}
        spec: dict[str, object] = {"name": "gsm8k", "sources": [source], "select": {"target": TARGET}}
    else:
        build_lake(folder / "lake")
        spec = yaml.safe_load((REPOSITORY / "examples" / "demo.yaml").read_text(encoding="utf-8"))
        spec |= {"train": None, "select": {"target": TARGET}}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    RunSpec.model_validate(spec)
    return path


def _bare_rate(stack: Stack, model: str, pairs: Sequence[tuple[str, str]]) -> float:
    address = f"127.0.0.1:{stack.process('triton').ports['grpc']}"
    return asyncio.run(_load(address, model, pairs))


async def _load(address: str, model: str, pairs: Sequence[tuple[str, str]]) -> float:
    models = TritonModels(address)
    await models.ensure_loaded(model)
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def ask(pair: tuple[str, str]) -> None:
        async with gate:
            await asyncio.gather(models.embed_many(pair), models.likelihood(model, *pair))

    started = time.perf_counter()
    await asyncio.gather(*map(ask, pairs))
    seconds = time.perf_counter() - started
    await models.close()
    return len(pairs) / seconds


def _run_rate(stack: Stack, spec_file: Path, rows: int) -> float:
    """Time from the submission to the exported release, the model being in the cache."""
    started = time.perf_counter()
    output = stack.command("run", str(spec_file), "--fresh", timeout_s=1800)
    seconds = time.perf_counter() - started
    assert "audit passed" in output, output
    return rows / seconds


class MemoryWatch:
    """Watches the resident memory of a supervisor's processes, shared pages counted once where the kernel tells.

    Parameters
    ----------
    supervisor : int
        Process id.
    """

    def __init__(self, supervisor: int) -> None:
        self._supervisor = psutil.Process(supervisor)
        self._peaks: dict[str, float] = defaultdict(float)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """Return the peak of each service in bytes, and of `all` together."""
        self._stopped.set()
        self._thread.join()
        return dict(self._peaks)

    def _watch(self) -> None:
        while not self._stopped.wait(1.0):
            sizes: dict[str, float] = defaultdict(float)
            for child in self._supervisor.children():
                sizes[_name(child)] += _tree_bytes(child)
            sizes["all"] = sum(sizes.values()) + self._supervisor.memory_info().rss
            for name, size in sizes.items():
                self._peaks[name] = max(self._peaks[name], size)


def _name(process: psutil.Process) -> str:
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:
        return "other"
    for name in ("kafka.Kafka", "tritonserver"):
        if name in words:
            return name.removesuffix(".Kafka").removesuffix("server")
    return words.rpartition("services.")[2].split()[0] if "services." in words else "other"


def _tree_bytes(process: psutil.Process) -> float:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    total = 0.0
    for member in family:
        try:
            total += member.memory_full_info().pss
        except psutil.Error:
            continue
    return total


if __name__ == "__main__":
    print(json.dumps([[figure.name, figure.value] for figure in measure()], indent=2))
