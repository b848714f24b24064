"""A sample: one instruction and its answer, with the part that each stage adds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.base import Contract
from schemas.identity import content_hash

SCHEMA_VERSION = "1.0"

Verdict = Literal["pass", "fail", "unknown", "timeout"]
Difficulty = Literal["easy", "medium", "hard"]
# Strict: a text or a truth value is no score, on no way into the selector.
UnitInterval = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False, strict=True)]


class Message(Contract):
    """One turn of a conversation."""

    role: str
    content: str


class Reference(Contract):
    """What is known to be true of the item, where something is."""

    answer: str | None = None
    tests: list[str] | None = None
    entry_point: str | None = None
    schema_: str | None = Field(default=None, alias="schema", serialization_alias="schema")
    evidence: list[str] | None = None


class CheckResult(Contract):
    """The verdict of one check (G9), with its reason and bounded evidence."""

    verdict: Verdict
    reason: str | None = None
    evidence: str | None = None
    seconds: float | None = None
    version: str


class Verification(Contract):
    """What the verifier found.

    Attributes
    ----------
    verified : bool
        True only where the run's rule was met by checks that passed.
    method : str
        The checks that ran.
    results : dict
        Each check's result.
    rule : str, optional
        The rule of reconciliation, where it was not `all`.
    disagreement : list of str, optional
        Checks whose pass or fail is opposite to the outcome.
    """

    verified: bool
    method: str
    results: dict[str, CheckResult] = Field(default_factory=dict)
    rule: str | None = None
    disagreement: list[str] | None = None


class Evaluations(Contract):
    """Scores in [0, 1] by documented rules or models."""

    instruction_complexity: UnitInterval | None = None
    response_quality: UnitInterval | None = None
    reasoning_depth: UnitInterval | None = None
    safety_score: UnitInterval | None = None


class Filtering(Contract):
    """What the selector decided, and why."""

    selected: bool
    reason: str
    stratum: str | None = None
    rank: int | None = None
    score: float | None = None
    score_parts: dict[str, float] | None = None
    diversity_contribution: float | None = None
    nearest: str | None = None
    value: float | str | None = None
    bound: float | str | None = None


class InstructionFollowingDifficulty(Contract):
    """Raw figures of the IFD score (Li et al. 2024, Cherry LLM): losses in nats per answer token."""

    ratio: float | None = None
    loss_conditioned: float | None = None
    loss_direct: float | None = None
    tokens_conditioned: int = 0
    tokens_direct: int = 0
    truncated: bool = False
    reason: str | None = None


class Embedding(Contract):
    """The embedding of instruction and response together: float16, little-endian, base64."""

    model: str
    dimensions: int
    data: str


class AdvancedAssessment(Contract):
    """Figures from models: raw values keep their own names and units."""

    ifd_score: UnitInterval | None = None
    learning_potential: UnitInterval | None = None
    ifd: InstructionFollowingDifficulty | None = None
    answer_match: float | None = None
    embedding: Embedding | None = None


class Lineage(Contract):
    """Where a sample came from and which versions touched it."""

    run_id: str
    window: int
    source_ref: str
    parent: str | None = None
    stage: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class Metadata(Contract):
    """What is known of a sample; each stage adds its part and changes no earlier one."""

    schema_version: str = SCHEMA_VERSION
    domain: str = "general"
    difficulty: Difficulty | None = None
    source: str | None = None
    creation_timestamp: datetime | None = None
    language: str | None = None
    licence: str | None = None
    reference: Reference | None = None
    verification: Verification | None = None
    evaluations: Evaluations | None = None
    filtering: Filtering | None = None
    advanced_assessment: AdvancedAssessment | None = None
    lineage: Lineage | None = None


class Sample(Contract):
    """One instruction and its answer.

    Attributes
    ----------
    id : str
        A hash of where the sample came from (`schemas.identity`), the same after every redelivery.
    messages : list of Message, optional
        Chat data; instruction and response are then its last turn.
    """

    id: Annotated[str, Field(min_length=1, max_length=128)]
    instruction: str
    response: str
    messages: list[Message] | None = None
    metadata: Metadata = Field(default_factory=Metadata)

    @property
    def content_hash(self) -> str:
        """The hash of instruction and response."""
        return content_hash(self.instruction, self.response)

    @property
    def lineage(self) -> Lineage:
        """The lineage, which every sample in a stream has.

        Raises
        ------
        ValueError
            When the sample was not stamped by an ingestor.
        """
        if self.metadata.lineage is None:
            raise ValueError(f"sample {self.id!r} has no metadata.lineage; the ingestor stamps it where data enters")
        return self.metadata.lineage

    def to_bytes(self) -> bytes:
        """Serialise what was set, unknown fields and explicit nulls included, defaults left out."""
        return self.model_dump_json(by_alias=True, exclude_unset=True).encode()

    def extended(self, **parts: Any) -> Sample:
        """Return a copy whose metadata has gained `parts`."""
        return self.model_copy(update={"metadata": self.metadata.model_copy(update=parts)})
