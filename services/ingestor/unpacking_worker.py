"""The process of `services.ingestor.unpacking`: `python -m services.ingestor.unpacking_worker DESCRIPTOR BOUND`."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from services.ingestor.unpacking import serve

if __name__ == "__main__":
    descriptor, bound = map(int, sys.argv[1:])
    serve(Connection(descriptor), bound)
