"""The end of a window: from here on no new row of it enters."""

from __future__ import annotations

from schemas.base import Contract


class WindowEnd(Contract):
    """Said by the ingestor when the last row of a window is in samples.raw.

    Attributes
    ----------
    end_offsets : dict of str to int
        For each partition of samples.raw (as text) the offset after the last row of the window.
    rows : int
        Rows of the window that entered samples.raw.
    last : bool
        Whether no further window will come: the source is exhausted, or the run was stopped.
    stopped : str, optional
        Why the run was stopped with rows left to read; said with the last window.
    """

    run_id: str
    window: int
    rows: int
    end_offsets: dict[str, int]
    last: bool = False
    stopped: str | None = None
