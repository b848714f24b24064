"""A stack under a steady stream while its parts are killed, stopped and slowed: `python -m benchmarks.soak`."""
