"""The selection study: which rule finds the good part of a pool with planted faults. `python -m benchmarks.study`."""
