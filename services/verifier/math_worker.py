"""A process that compares mathematical answers with math-verify; run as `python -m services.verifier.math_worker`.

One JSON array `[gold, found]` a line in, one JSON object a line out. The process imports math-verify once and forks the
one that answers. Each request may take so much CPU time (ITIMER_PROF, whose signal ends the child also inside one long
operation of C code); a child that ended so, or by its memory limit, is answered for and replaced by a fork, which takes
milliseconds where a new start takes seconds. math-verify's own timeouts are off: they go by the wall clock, so that a
busy machine would change verdicts.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from typing import IO

from limoflow.lifeline import PARENT, die_with_parent

_CPU_SIGNALS = {signal.SIGPROF, signal.SIGXCPU}


def main(cpu_seconds: float, memory_bytes: int) -> None:
    """Answer until the input ends."""
    import math_verify  # noqa: F401  (no request must pay for the import)

    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _say(replies, {"ready": True})
    os.environ[PARENT] = str(os.getpid())
    while True:
        child = os.fork()
        if child == 0:
            _serve(replies, cpu_seconds, memory_bytes)
            # Nothing of the parent's is to be flushed or closed a second time.
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return
        _say(replies, _obituary(status))


def _serve(replies: IO[str], cpu_seconds: float, memory_bytes: int) -> None:
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    # The pool sends a request only after the answer to the one before, so a child that dies has read nothing ahead.
    with os.fdopen(os.dup(0), "rb") as requests:
        while line := requests.readline():
            _allow_cpu(cpu_seconds)
            try:
                reply = _compare(*json.loads(line))
            except Exception as error:  # noqa: BLE001 - whatever a text provokes in sympy is this text's verdict
                reply = {"verdict": "unknown", "reason": f"comparison_failed: {type(error).__name__}"}
            signal.setitimer(signal.ITIMER_PROF, 0)
            _say(replies, reply)


def _compare(gold: str, found: str) -> dict[str, str | None]:
    from services.verifier.answer.algebra import equivalent
    from services.verifier.answer.shapes import compare

    agree = compare(gold, found, equivalent)
    if agree is None:
        return {"verdict": "unknown", "reason": "not_certain"}
    return {"verdict": "pass" if agree else "fail", "reason": None if agree else "answer_differs"}


def _allow_cpu(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Whole seconds only, so it is the second line: the timer decides.
    limit = math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _obituary(status: int) -> dict[str, str | None]:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in _CPU_SIGNALS:
        return {"verdict": "timeout", "reason": "comparison_timeout"}
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    return {"verdict": "unknown", "reason": f"comparison_died: {how}"}


def _say(replies: IO[str], reply: object) -> None:
    print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
