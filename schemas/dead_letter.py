"""A dead letter: a record that could not be read or handled, with its original bytes (G5)."""

from __future__ import annotations

from schemas.base import Contract


class DeadLetter(Contract):
    """The headers of a dead letter; its value on the topic is the original bytes.

    Attributes
    ----------
    sample_id : str
        The id of the sample, or of the source row where none could be read.
    run_id, window
        Where known; a record that cannot be read may tell neither.
    """

    sample_id: str
    stage: str
    stage_version: str
    topic: str
    partition: int
    offset: int
    attempts: int
    error_class: str
    error: str
    run_id: str | None = None
    window: int | None = None
