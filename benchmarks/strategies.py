"""Selection strategies: time, memory and how they compare with the loops they replace.

Vectors have 384 dimensions, in 200 loose groups. Usage: strategies.py [STRATEGY ITEMS TARGET] (one, in this process).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.figures import Figure, table
from services.selector.diversity import LENGTH, Vectors
from services.selector.strategies.facility_location import FacilityLocation
from services.selector.strategies.interface import Pool
from services.selector.strategies.registry import known_strategies, strategy_of
from services.selector.strategies.representation import RepresentationFilter

DIMENSIONS = 384
GROUPS = 200
SPREAD = 0.6
ROWS = 20_000
EVERY = 100
LARGE, CHOSEN = 100_000, 10_000


def pool_of(items: int, target: int, seed: int = 0) -> Pool:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((GROUPS, DIMENSIONS), dtype=np.float32)
    vectors = SPREAD * random.standard_normal((items, DIMENSIONS), dtype=np.float32)
    vectors += centres[random.integers(0, GROUPS, items)]
    vectors *= LENGTH / np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = tuple(f"{index:08d}" for index in range(items))
    strata = np.zeros(items, dtype=np.int64)
    return Pool(ids, np.rint(vectors, out=vectors), random.random(items), strata, np.array([target]))


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Return the least of the times."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def renormalising_loop(vectors: Vectors) -> float:
    """Return the seconds that DEITA's filter needs on a processor, when it keeps everything.

    Its steps for one item (hkust-nlp/deita, selection/filter/base.py): gather what is kept from a float64 table by a
    list of indexes, make it a float32 tensor, divide by its lengths, do so again inside the cosine, multiply, compare.
    Every 100th item is done and counted 100 times; one does not depend on another.
    """
    import torch

    table64 = vectors.astype(np.float64)
    items = range(EVERY // 2, len(table64), EVERY)
    kept = [list(range(item)) for item in items]
    start = time.perf_counter()
    for item, indexes in zip(items, kept, strict=True):
        one = torch.tensor(table64[item : item + 1], dtype=torch.float32)
        others = torch.tensor(table64[indexes], dtype=torch.float32)
        for _ in range(2):
            one = one / one.norm(dim=1)[:, None]
            others = others / others.norm(dim=1)[:, None]
        bool((torch.mm(one, others.t()) > 1.0).any())
    return EVERY * (time.perf_counter() - start)


def one(name: str, items: int, target: int) -> dict[str, float]:
    """Choose once in this process; return seconds and the peak of its memory."""
    pool = pool_of(items, target)
    took = seconds(lambda: strategy_of(name, {}).choose(pool))
    return {"seconds": took, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def elsewhere(name: str, items: int, target: int) -> dict[str, float]:
    """Choose once in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.strategies", name, str(items), str(target)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(said)
    return found


def measure() -> list[Figure]:
    # A bound that nothing exceeds: both keep everything, which is the longest way.
    everything = pool_of(ROWS, ROWS)
    ours = seconds(lambda: RepresentationFilter(max_cosine=1.0).choose(everything), 3)
    loop = renormalising_loop(everything.vectors)
    middle = pool_of(4_000, 400)
    figures = [
        Figure("representation filter, 20,000 x 384, all kept", ours, "s"),
        Figure("representation filter against the re-normalising loop", loop / ours, "times", 100),
        Figure(
            "facility location, 4,000 choose 400", seconds(lambda: FacilityLocation().choose(middle), 3), "s", 0.5, True
        ),
    ]
    large = {name: elsewhere(name, LARGE, CHOSEN) for name in known_strategies()}
    figures += [
        Figure(f"{name}: 100,000 choose 10,000", found["seconds"], "s", 90, True) for name, found in large.items()
    ]
    peak = max(found["megabytes"] for found in large.values())
    return [*figures, Figure("100,000 choose 10,000: largest peak memory", peak, "MB", 2_000, True)]


if __name__ == "__main__":
    if len(sys.argv) == 4:
        sys.stdout.write(json.dumps(one(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))) + "\n")
    else:
        sys.stdout.write(table(measure()) + "\n")
