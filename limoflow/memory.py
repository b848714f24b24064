"""How a service's process keeps its memory: one heap, a garbage collector that seldom runs, bursts given back."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_S = 30.0
_YOUNG_OBJECTS = 50_000
# M_ARENA_MAX in malloc.h.
_ARENA_MAX = -8


def prepare_memory() -> None:
    """Set this process up for streams of records; before its first thread.

    Records and samples hold no cycles, so almost every run of the cycle collector walks all that is held and frees
    nothing; measured, it takes a third of the selector's time. It runs after 50,000 new objects here instead of 700.

    glibc gives every thread a heap of its own, up to eight for each core, and of these `give_back` cannot return the
    free end: after one read of 8,000 samples, 2.4 MB stay of which 3 kB are used. All threads share one heap here.
    """
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_ARENA_MAX, 1)


def give_back() -> None:
    """Have glibc return the pages that nothing lies on; elsewhere, do nothing.

    glibc frees only the upper end of its heap by itself, and a few records that stay pin all that lies below them:
    rebuilding a state from 200 MB of records that leave 1 MB leaves 37 MB behind, and 1 after this.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def memory_given_back(every_s: float = EVERY_S) -> Iterator[None]:
    """Give memory back every so many seconds, in a thread, until the end of the context."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_s):
            give_back()

    thread = threading.Thread(target=work, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
