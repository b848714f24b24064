"""The fork server: a warm interpreter that knows nothing of any job, and forks a supervisor for each request.

It reads one byte of a request, no more, so that nothing of one job is in the memory that the next one inherits.
"""

from __future__ import annotations

import gc
import importlib
import os
import random
import site
import sys

from services.verifier.sandbox.inside.frames import frame, write_all
from services.verifier.sandbox.inside.program import call_filter
from services.verifier.sandbox.inside.supervise import read_limits, supervise
from services.verifier.sandbox.inside.system import hide_memory, leave_network

REQUESTS, REPLIES = 0, 1
ROOT = "/limoflow"
_WARM = (
    "abc bisect collections contextlib copy dataclasses datetime decimal enum fractions functools heapq inspect io "
    "itertools json math numbers operator re statistics string textwrap traceback types typing unittest"
)


def serve() -> None:
    """Answer requests until their stream ends; ends too when a supervisor does not end well."""
    _first_to_die()
    leave_network()
    hide_memory(hidden=True)
    for name in _WARM.split():
        importlib.import_module(name)
    call_filter()
    random.seed(0)
    sys.path[:] = ["", *(place for place in sys.path if place not in {"", ROOT})]
    site.setquit()
    site.sethelper()
    gc.collect()
    gc.freeze()
    write_all(REPLIES, frame({"ready": ".".join(str(part) for part in sys.version_info[:3])}))
    while first := os.read(REQUESTS, 1):
        pid = os.fork()
        if pid == 0:
            _answer(first)
        if os.waitpid(pid, 0)[1] != 0:
            sys.exit("a supervisor did not end well")


def _answer(first: bytes) -> None:
    status = 1
    try:
        supervise(read_limits(REQUESTS, first), REQUESTS, REPLIES)
        status = 0
    except BaseException as error:  # noqa: BLE001 - the service reads it and takes a new box
        os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(status)


def _first_to_die() -> None:
    # Where memory runs out for the whole machine, the kernel takes the box and not the service.
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError as error:
        os.write(2, f"the kernel takes no hint for the lack of memory: {error}\n".encode())
