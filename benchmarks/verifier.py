"""What the verifier costs a sample, and how often it and `numeric_variation` are wrong about GSM8K."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from benchmarks.figures import Figure, table
from schemas.run import Run
from schemas.sample import Lineage, Metadata, Reference, Sample
from services.generator.app import layer as generator_layer
from services.verifier.app import layer

GSM8K = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k" / "train.jsonl"


def measure() -> list[Figure]:
    """Return the figures; on text of our own where the data set is absent."""
    return asyncio.run(_measure(_samples()))


async def _measure(samples: list[Sample]) -> list[Figure]:
    strategies = [{"kind": "numeric_variation"}]
    spec = {"name": "bench", "sources": [{"path": "x"}], "generate": {"strategies": strategies}}
    run = Run.model_validate({"run_id": "bench", "spec": spec})
    verifier, generator = layer(), generator_layer()
    try:
        began = time.perf_counter()
        results = [await verifier.process(sample, run) for sample in samples]
        each = (time.perf_counter() - began) / len(samples) * 1000
        steps = sum(one.reason.startswith("math_steps") for result in results for one in result.rejected)
        began = time.perf_counter()
        made = [(await generator.process(sample, run)).passed[1:] for sample in samples]
        children = [child for found in made for child in found]
        drawing = (time.perf_counter() - began) / len(samples) * 1000
        refused = [child for child in children if (await verifier.process(child, run)).rejected]
    finally:
        await verifier.close()
        await generator.close()
    return [
        Figure("verifier, every check, per GSM8K sample", each, "ms", 0.5, below=True),
        Figure("GSM8K answers refused by math_steps", 100 * steps / len(samples), "%", 0.5, below=True),
        Figure("numeric_variation, per GSM8K sample", drawing, "ms"),
        Figure("GSM8K problems that numeric_variation varies", 100 * len(children) / len(samples), "%"),
        Figure("children refused by the verifier", 100 * len(refused) / max(1, len(children)), "%", 0.0, below=True),
    ]


def _samples() -> list[Sample]:
    if GSM8K.exists():
        rows = [json.loads(line) for line in GSM8K.read_text(encoding="utf-8").splitlines()]
    else:
        answer = "It has 48/2 = <<48/2=24>>24 left.\nWith 31 more it has 24+31=<<24+31=55>>55.\n#### 55"
        question = "A shop halves its 48 hats, then gets 31 more. How many has it?"
        rows = [{"question": question, "answer": answer}] * 2000
    return [
        Sample(
            id=str(number),
            instruction=row["question"],
            response=row["answer"],
            metadata=Metadata(
                domain="mathematics",
                reference=Reference(answer=row["answer"].rpartition("####")[2].strip()),
                lineage=Lineage(run_id="bench", window=0, source_ref=f"rows#{number}"),
            ),
        )
        for number, row in enumerate(rows)
    ]


if __name__ == "__main__":
    print(table(measure()))
