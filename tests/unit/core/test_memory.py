"""Memory that a burst of records needed goes back to the system although a few of them stay."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

_HELD = """
import os, random, threading, time
from limoflow.memory import memory_given_back, prepare_memory

def held():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024

def told(before):
    burst = held()
    with memory_given_back(every_s=0.05):
        by = time.monotonic() + 20
        while held() - before > (burst - before) / 3 and time.monotonic() < by:
            time.sleep(0.05)
    print(burst - before, held() - before)
"""
_BURST = f"""{_HELD}
chance, kept = random.Random(0), []
before = held()
for _ in range(6):
    records = [os.urandom(chance.randint(1500, 6000)) for _ in range(5000)]
    kept += chance.sample(records, 20)
del records
told(before)
"""
# One large block that came and went, a response of the broker say, has glibc keep free ends of that size from then on.
_BURST_OF_A_THREAD = f"""{_HELD}
prepare_memory()
block = bytearray(30 << 20)
del block
before = held()
thread = threading.Thread(target=lambda: [bytes(4000) for _ in range(6000)])
thread.start()
thread.join()
told(before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps it")
@pytest.mark.parametrize("burst", [_BURST, _BURST_OF_A_THREAD], ids=["of records", "in a thread"])
def test_what_only_a_burst_needed_is_given_back(burst: str):
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", burst], capture_output=True, text=True, check=True, cwd=root)
    at_most, after = map(float, done.stdout.split())
    assert at_most > 15, "the burst left nothing behind: the test shows nothing"
    assert after < at_most / 3
