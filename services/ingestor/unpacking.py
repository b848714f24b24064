"""Formats whose small files may unpack to gigabytes are read in a process of their own, with a bound on its memory.

What a Parquet page, a dictionary or a delta-coded text unpacks to stands in the page and not in the file's footer, so
no look at sizes beforehand is safe against a file that lies. Where the bound is reached, that process gives up, and
not this one.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from socket import socketpair
from typing import NamedTuple

from limoflow.errors import DependencyUnavailable, LimoflowError
from services.ingestor.sources import Row, SourceError, Unit

Process = subprocess.Popen[bytes]
FRAME_ROWS = 100
_END_S = 5.0


class Request(NamedTuple):
    """What the other process is to read."""

    path: str
    unit: Unit
    position: int
    number: int


class OutOfBounds(SourceError):
    """A file takes more memory than it may."""


class Unpacker:
    """A process that reads files, one after the other; it ends with this object.

    Parameters
    ----------
    bound : int
        Bytes that it may take beyond what it has when it is idle.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._idle: list[tuple[Process, Connection]] = []
        weakref.finalize(self, _end_all, self._idle)

    def rows(self, request: Request) -> Iterator[Row]:
        """Yield the rows of one file.

        Raises
        ------
        SourceError
            When it cannot be read, or takes more than the bound.
        DependencyUnavailable
            When a remote store does not answer.
        """
        process, connection = self._idle.pop() if self._idle else self._started()
        kept = False
        try:
            connection.send(request)
            while (answer := connection.recv()) is not None:
                if isinstance(answer, LimoflowError | SourceError):
                    kept = not isinstance(answer, OutOfBounds)
                    raise answer
                yield from answer
            kept = True
        except (EOFError, OSError) as error:
            ended = "the process that read it has ended, as it does where memory runs out"
            raise SourceError(f"{request.unit.name!r}: {ended}: {_too_large(self._bound)}") from error
        finally:
            if kept:
                self._idle.append((process, connection))
            else:
                _end(process, connection)

    def _started(self) -> tuple[Process, Connection]:
        ours, theirs = socketpair()
        with theirs:
            command = [
                sys.executable,
                "-m",
                "services.ingestor.unpacking_worker",
                str(theirs.fileno()),
                str(self._bound),
            ]
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # What interrupts a command at a terminal is for the command to handle.
                start_new_session=True,
            )
        return process, Connection(ours.detach())


def _too_large(bound: int) -> str:
    return (
        f"a batch of one row unpacks to more than {bound} bytes; raise LIMOFLOW_INGESTOR_MAX_UNPACKED_BYTES, or write "
        "the file anew with smaller rows"
    )


def _end_all(idle: list[tuple[Process, Connection]]) -> None:
    while idle:
        _end(*idle.pop())


def _end(process: Process, connection: Connection) -> None:
    connection.close()
    process.kill()
    process.wait(_END_S)


def serve(connection: Connection, bound: int) -> None:
    """Answer requests until the other end is gone; the main function of the process."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    _warm_up()
    limit = _address_space() + bound
    reached = {""}
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request: Request = connection.recv()
            store = request.path.partition("://")[0] if "://" in request.path else ""
            if store not in reached:
                limit += _reach(request)
                reached.add(store)
            _bound_memory(limit)
            _answer(connection, request, bound)


def _reach(request: Request) -> int:
    """Load and start what speaks with a store; return the bytes that this takes: they are not the file's."""
    from services.ingestor.files import opened

    _bound_memory(resource.RLIM_INFINITY)
    before = _address_space()
    with suppress(SourceError, LimoflowError), opened(request.path, request.unit) as stream:
        stream.read(1)
    return max(0, _address_space() - before)


def _bound_memory(limit: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _warm_up() -> None:
    """Load what reading loads: what code and threads take is not the file's."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from services.ingestor.files import read_unit
    from services.ingestor.formats import reader_of

    packed = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), packed, compression="zstd")
    list(reader_of("a.parquet")(packed, Unit("a.parquet", "", 0), 0, 0))
    with suppress(SourceError):
        list(read_unit("/", Unit("none.parquet", "/none.parquet", 0), 0, 0))


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as pages:  # noqa: PTH123 - a file of the kernel
        return int(pages.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _answer(connection: Connection, request: Request, bound: int) -> None:
    from services.ingestor.formats import PARQUET_ROWS

    rest = request
    # Rows that are too large together may fit one by one.
    for batch in (PARQUET_ROWS, 1):
        try:
            for frame in _frames(rest, batch):
                connection.send(frame)
                rest = request._replace(position=frame[-1].after, number=frame[-1].number + 1)
        except MemoryError:
            continue
        except (SourceError, DependencyUnavailable) as error:
            connection.send(error)
        else:
            connection.send(None)
        return
    connection.send(OutOfBounds(f"{request.unit.name!r} row {rest.position}: {_too_large(bound)}"))


def _frames(request: Request, batch: int) -> Iterator[list[Row]]:
    from services.ingestor.files import read_unit

    frame: list[Row] = []
    for row in read_unit(request.path, request.unit, request.position, request.number, batch):
        frame.append(row)
        if len(frame) >= min(FRAME_ROWS, batch):
            yield frame
            frame = []
    if frame:
        yield frame
