"""A process that compares two mathematical answers with math-verify; run as `python -m services.verifier.math_worker`.

One JSON array `[gold, found]` a line in, one JSON object a line out. Each line may take so much CPU time; what exceeds
it ends the process by SIGXCPU, and memory is bounded too. math-verify's own timeouts are off: they go by the wall
clock, so that a busy machine would change verdicts.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys


def _compare(gold_text: str, found_text: str) -> dict[str, str | None]:
    from math_verify import parse, verify

    gold = parse(_wrapped(gold_text), parsing_timeout=None)
    found = parse(_wrapped(found_text), parsing_timeout=None)
    if not gold or not found:
        return {"verdict": "unknown", "reason": "unreadable_reference" if not gold else "unreadable_answer"}
    agree = verify(gold, found, timeout_seconds=None)
    return {"verdict": "pass" if agree else "fail", "reason": None if agree else "answer_differs"}


def _wrapped(text: str) -> str:
    return text if "$" in text or "\\boxed" in text else f"${text}$"


def _allow_cpu(seconds: float) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def main(cpu_seconds: float, memory_bytes: int) -> None:
    """Answer until the input ends."""
    import math_verify  # noqa: F401  (the first comparison must not pay for the import)

    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        _allow_cpu(cpu_seconds)
        try:
            reply = _compare(*json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever a text provokes in sympy is this text's verdict
            reply = {"verdict": "unknown", "reason": f"comparison_failed: {type(error).__name__}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
