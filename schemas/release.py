"""A release: an immutable, content-addressed manifest of the chosen samples of one window."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.base import Contract, canonical_json, digest


class ChosenRow(Contract):
    """One chosen sample, and why.

    Attributes
    ----------
    curriculum : int, optional
        Its place in the order of learning, from 1, where the run asks for a curriculum.
    """

    id: str
    content_hash: str
    source_ref: str
    stratum: str
    rank: int
    score: float
    score_parts: dict[str, float] = Field(default_factory=dict)
    diversity_contribution: float
    nearest: str | None = None
    curriculum: int | None = None


class Release(Contract):
    """What the selector publishes when a window has drained (G3).

    It holds nothing that depends on when or how fast it was made; `release_id` is the hash of all other fields.

    Attributes
    ----------
    funnel : dict
        Distinct samples of the window by where they ended: `{"scored": n, "finalized": n,
        "rejected": {"stage/reason": n}, "dead_lettered": {"stage": n}}`.
    shortfall : int
        How many rows fewer than the target survived.
    stopped : str, optional
        Why the run was stopped with rows left to read, where it was; on the last release.
    """

    release_id: str
    run_id: str
    name: str
    window: int
    last: bool
    stopped: str | None = None
    seed: int
    spec_sha256: str
    spec: dict[str, Any]
    models: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    target: int
    shortfall: int
    quotas: dict[str, int] = Field(default_factory=dict)
    funnel: dict[str, Any] = Field(default_factory=dict)
    statistics: dict[str, Any] = Field(default_factory=dict)
    rows: list[ChosenRow] = Field(default_factory=list)

    def manifest(self) -> bytes:
        """Return the canonical bytes of the manifest."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True))

    def resealed(self, **fields: Any) -> Release:
        """Return a copy with other fields, under the id that they give."""
        mine = {name: getattr(self, name) for name in type(self).model_fields if name != "release_id"}
        return self.sealed(**(mine | (self.model_extra or {}) | fields))

    @classmethod
    def sealed(cls, **fields: Any) -> Release:
        """Build a release whose id is the SHA-256 of its other fields (first 32 digits)."""
        draft = cls(release_id="", **fields)
        body = draft.model_dump(mode="json", exclude_none=True, exclude={"release_id"})
        return draft.model_copy(update={"release_id": digest(canonical_json(body))[:32]})
