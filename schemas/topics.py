"""The topics, as topics.yaml describes them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

RUNS = "runs"
INGEST_STATE = "ingest.state"
ADMISSIONS = "admissions"
RAW = "samples.raw"
WINDOWS = "windows"
CANDIDATE = "samples.candidate"
VERIFIED = "samples.verified"
SCORED = "samples.scored"
POOL = "selector.pool"
FINALIZED = "samples.finalized"
REJECTED = "samples.rejected"
RELEASES = "releases"
EXPORTS = "exports"
MODELS = "models"
EVALUATIONS = "evaluations"
FEEDBACK = "feedback"


def dead_letters_of(stage: str) -> str:
    """Return the dead-letter topic of a stage."""
    return f"dlq.{stage}"


class Topic(BaseModel):
    """One topic.

    Attributes
    ----------
    dead_lettered_by : tuple of str, optional
        The stages whose dead letters may be replayed to it; the consumers where it is not said.
    retention : int or "compact"
        Hours.
    partitions : int or "work"
        `work` for the stack's setting.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: str
    key: str
    schema_name: str | None = Field(alias="schema")
    versions: tuple[int, ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    dead_lettered_by: tuple[str, ...] | None = None
    retention: int | Literal["compact"]
    partitions: int | Literal["work"]

    def is_replayed_from(self, dead_letters: str) -> bool:
        """Whether records on a topic of dead letters may go back to this one."""
        stages = self.consumers if self.dead_lettered_by is None else self.dead_lettered_by
        return dead_letters in map(dead_letters_of, stages)


@cache
def topics() -> MappingProxyType[str, Topic]:
    """Return every topic by name, in the order of the flow."""
    text = Path(__file__).with_name("topics.yaml").read_text(encoding="utf-8")
    described = yaml.safe_load(text)["topics"]
    return MappingProxyType({name: Topic.model_validate(fields) for name, fields in described.items()})
