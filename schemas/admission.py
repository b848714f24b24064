"""What became of a submitted run: admitted, waiting for its turn, or refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Contract


class Admission(Contract):
    """Said by the ingestor, which alone decides; the newest of a run stands.

    Attributes
    ----------
    tenant : str, optional
        As the run names it.
    reason : str, optional
        Why it waits or was refused, with the bound and what to do.
    offset : int
        Of the run's event on the topic `runs` that this speaks of; a refused run is looked at again when it is
        submitted again.
    max_rows : int, optional
        Rows that may be read of it. It is fixed here, so that no change of the tenant's quota moves the cut of a run
        that has begun.
    """

    run_id: str
    state: Literal["admitted", "waiting", "refused"]
    tenant: str | None = None
    reason: str | None = None
    offset: Annotated[int, Field(ge=0)] = 0
    max_rows: Annotated[int, Field(gt=0)] | None = None
