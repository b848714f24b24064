"""Progress of long work: a bar with the time left on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

import orjson

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Rate:
    """How fast something grows, over the last `window_s` seconds.

    Parameters
    ----------
    clock : callable
        Seconds on a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float], window_s: float = 30.0) -> None:
        self._clock = clock
        self._window_s = window_s
        self._points: deque[tuple[float, float]] = deque()

    def add(self, done: float) -> None:
        """Take note of how much is done now."""
        now = self._clock()
        if self._points and done < self._points[-1][1]:
            self._points.clear()
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] <= now - self._window_s:
            self._points.popleft()

    def per_second(self) -> float | None:
        """Return the rate, or None before it can be told."""
        if not self._points or (elapsed := self._clock() - self._points[0][0]) <= 0.0:
            return None
        return (self._points[-1][1] - self._points[0][1]) / elapsed

    def seconds_for(self, remaining: float) -> float | None:
        """Return how long `remaining` more will take, or None where nothing moves."""
        rate = self.per_second()
        return max(remaining, 0.0) / rate if rate else None


class Progress:
    """Shows how far a piece of work is.

    Parameters
    ----------
    label : str
        What is being done.
    stream : TextIO, optional
        Standard error by default.
    clock : callable, optional
        Seconds on a clock that never goes back.
    interval_s : float
        The least time between two lines; the first and the last state are always shown.
    terminal : bool, optional
        Whether to draw a bar; by default where the stream is a terminal.
    """

    def __init__(
        self,
        label: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = 1.0,
        terminal: bool | None = None,
    ) -> None:
        target = stream if stream is not None else sys.stderr
        self._clock = clock
        self._interval_s = interval_s
        self._rate = Rate(clock)
        self._view: _Lines | _Terminal
        drawn = target.isatty() if terminal is None else terminal
        self._view = _Terminal(label, target, clock) if drawn else _Lines(label, target)
        self._shown_at: float | None = None
        self._pending: dict[str, Any] | None = None

    def update(self, done: float, total: float | None = None, **fields: Any) -> None:
        """Say how much is done, of how much where that is known, with further figures to show."""
        self._rate.add(done)
        remaining = self._rate.seconds_for(total - done) if total is not None else None
        self._pending = {
            "done": done,
            "total": total,
            "per_second": _rounded(self._rate.per_second()),
            "seconds_left": _rounded(remaining),
            **fields,
        }
        if self._shown_at is None or self._clock() - self._shown_at >= self._interval_s:
            self._show()

    def close(self) -> None:
        """Show the last state and give the terminal back."""
        self._show()
        self._view.close()

    def _show(self) -> None:
        if self._pending is not None:
            self._view.show(self._pending)
            self._shown_at, self._pending = self._clock(), None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


class _Lines:
    def __init__(self, label: str, stream: TextIO) -> None:
        self._label = label
        self._stream = stream

    def show(self, state: dict[str, Any]) -> None:
        self._stream.write(orjson.dumps({"progress": self._label, **state}, default=str).decode() + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


class _Terminal:
    def __init__(self, label: str, stream: TextIO, clock: Callable[[], float]) -> None:
        self._bar = _bar(stream, clock)
        self._task = self._bar.add_task(label, total=None, eta="", detail="")
        self._bar.start()

    def show(self, state: dict[str, Any]) -> None:
        known = ("done", "total", "per_second", "seconds_left")
        detail = " ".join(f"{name}={value}" for name, value in state.items() if name not in known)
        eta = _spoken(state["seconds_left"])
        self._bar.update(self._task, completed=state["done"], total=state["total"], eta=eta, detail=detail)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.stop()


def _bar(stream: TextIO, clock: Callable[[], float]) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[eta]}", markup=False),
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(file=stream, force_terminal=True),
        auto_refresh=False,
        get_time=clock,
    )


def _spoken(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
