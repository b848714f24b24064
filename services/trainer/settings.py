"""Settings of the trainer, from `LIMOFLOW_TRAINER_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class TrainerSettings(BaseSettings):
    """Where adapters are written, and what one training may use.

    Attributes
    ----------
    folder : Path
        Root of all adapters: `<folder>/<run id>/<model id>/`.
    threads : int
        Threads of one training. Sums depend on it, so adapters are bit-identical only for the same number.
    device : {"auto", "cpu", "cuda"}
        Where a training computes; `auto` takes a GPU where torch sees one, `cuda` is refused where it sees none. The
        two differ in the last digits, so adapters are bit-identical only on one of them.
    attempts : int
        Times that a training which fails or is killed from outside goes on from its last checkpoint, before its
        release becomes a dead letter.
    run_patience_s : float
        Seconds that a release waits for a run that nobody has announced, before it becomes a dead letter.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_TRAINER_", extra="ignore")

    folder: Path = Path(".limoflow/adapters")
    threads: Annotated[int, Field(gt=0, le=256)] = 2
    device: Literal["auto", "cpu", "cuda"] = "auto"
    attempts: Annotated[int, Field(gt=0)] = 3
    run_patience_s: Annotated[float, Field(ge=0.0)] = 300.0
