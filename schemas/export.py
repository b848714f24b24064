"""An export: a release that lies complete in a folder."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Contract


class Export(Contract):
    """Said by the exporter once the folder of a release is complete.

    Attributes
    ----------
    files : dict of str to str
        SHA-256 of each file, by its path relative to the folder.
    """

    release_id: str
    run_id: str
    window: int
    folder: str
    rows: int
    files: dict[str, str] = Field(default_factory=dict)
