"""Settings of the verifier; environment variables begin with LIMOFLOW_VERIFIER_."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class VerifierSettings(BaseSettings):
    """How much a comparison of answers may use, where programs run, and where indexes are kept.

    Attributes
    ----------
    workers : int
        Processes for math-verify; they start when first needed.
    cpu_seconds : float
        CPU time for one comparison; this bound decides, so that a busy machine changes no verdict.
    deadline_seconds : float
        Wall-clock time after which a process is killed whatever it does.
    worker_memory_bytes : int
        Address space of one process.
    sandbox : str
        `bubblewrap`, `gvisor`, `none`, or `auto`: the first of them that works.
    sandbox_boxes : int
        Programs that run at one time; each box keeps about 12 MB (bubblewrap) or 55 MB (gvisor).
    sandbox_folders : tuple of Path
        Toolchains outside /usr that programs may read, as a JSON list; everybody must be able to read them.
    index_folder : Path
        Indexes of benchmark files, named by content; workers of one machine share them.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_VERIFIER_")

    workers: int = Field(default=1, ge=1)
    cpu_seconds: float = Field(default=5.0, gt=0)
    deadline_seconds: float = Field(default=60.0, gt=0)
    worker_memory_bytes: int = Field(default=2 << 30, ge=256 << 20)
    sandbox: str = "auto"
    sandbox_boxes: int = Field(default=2, ge=1)
    sandbox_folders: tuple[Path, ...] = ()
    index_folder: Path = Path(".limoflow/indexes")
