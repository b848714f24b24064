"""Memory that a burst of records needed goes back to the system although a few of them stay."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

_BURST = """
import os, random, time
from limoflow.memory import memory_given_back

def held():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024

chance, kept = random.Random(0), []
before = held()
for _ in range(6):
    records = [os.urandom(chance.randint(1500, 6000)) for _ in range(5000)]
    kept += chance.sample(records, 20)
del records
burst = held()
with memory_given_back(every_s=0.05):
    by = time.monotonic() + 20
    while held() - before > (burst - before) / 3 and time.monotonic() < by:
        time.sleep(0.05)
print(burst - before, held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps it")
def test_what_only_a_burst_needed_is_given_back():
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", _BURST], capture_output=True, text=True, check=True, cwd=root)
    burst, after = map(float, done.stdout.split())
    assert burst > 15, "the burst left nothing behind: the test shows nothing"
    assert after < burst / 3
