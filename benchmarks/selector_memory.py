"""The memory of the selector core while millions of samples stream through both of its levels.

The bounds (reservoirs, and the sketch that counts distinct ids) are set so that 100,000 samples reach them; the default
sketch of 100,000 ids for each window and partition would be reached by 400,000.

Usage: `python -m benchmarks selector_memory`; LIMOFLOW_BENCH_STREAMED sets how many samples, 5,000,000 by default.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice

import psutil

from benchmarks.figures import Figure, table
from benchmarks.selector import Passed, as_records, records
from limoflow.memory import prepare_memory
from limoflow.stream.types import Record, TopicPartition
from schemas.run import Run
from schemas.topics import POOL, RUNS, SCORED
from services.selector.merge import Merge
from services.selector.pools import PartitionPools
from services.selector.settings import SelectorSettings

STREAMED = int(os.environ.get("LIMOFLOW_BENCH_STREAMED", "5000000"))
FROM = 100_000
EVERY = 100_000
BATCH = 500
PARTITIONS = 4
KINDS = 2_000
SELECT = {"target": 500, "reservoir": 2_000}
SKETCH = 20_000


def endless() -> Iterator[Record]:
    """Yield scored samples, each with an id of its own, on the partitions in turn."""
    kinds = [(it.value or b"", it.headers, (it.key or b"")) for it in records(KINDS)]
    number = 0
    while True:
        for value, headers, key in kinds:
            mine = f"{number:032x}".encode()
            yield Record(SCORED, number % PARTITIONS, number, mine, value.replace(key, mine, 1), headers)
            number += 1


def measure(streamed: int = STREAMED) -> list[Figure]:
    """Stream samples through both levels, and compare the memory after 100,000 with the largest after that."""
    prepare_memory()
    spec = {"name": "bench", "sources": [{"path": "x"}], "select": SELECT}
    announced = Record(RUNS, 0, 0, b"", Run.model_validate({"run_id": "bench", "spec": spec}).to_bytes())
    settings = SelectorSettings(sketch=SKETCH)
    first, second = PartitionPools(settings), Merge(settings, Passed())
    first.assigned([TopicPartition(SCORED, partition) for partition in range(PARTITIONS)])
    second.assigned([TopicPartition(POOL, partition) for partition in range(PARTITIONS)])
    first.observe([announced])
    second.observe([announced])
    source, done, took, megabytes = endless(), 0, 0.0, []
    while done < streamed:
        batch = list(islice(source, BATCH))
        start = time.perf_counter()
        made = as_records([it for it in first.process(batch) if it.topic == POOL])
        # What the merging level writes to its own topic, it reads.
        while made:
            made = as_records(list(second.process(made)))
        took += time.perf_counter() - start
        done += BATCH
        if done >= FROM and done % EVERY == 0:
            gc.collect()
            megabytes.append(psutil.Process().memory_info().rss / 2**20)
            sys.stderr.write(f"{done:,} samples: {megabytes[-1]:.1f} MB, {done / took:,.0f}/s\n")
    name = f"selector core: memory from {FROM:,} to {done:,} streamed samples"
    return [
        Figure(f"{name}, growth", 100.0 * (max(megabytes) / megabytes[0] - 1.0), "%", 10.0, True),
        Figure(f"{name}, largest", max(megabytes), "MB"),
        Figure("selector core: samples in, most refused by full reservoirs", done / took, "samples/s"),
    ]


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
