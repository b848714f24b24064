"""Why a sample was chosen or refused: the words, and what stands beside them in `metadata.filtering`."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from schemas.sample import Filtering
from services.selector.combine import rounded

CHOSEN: Final = "chosen"
FILLED: Final = "chosen_to_fill_quota"

RESERVOIR_FULL: Final = "reservoir_full"
WINDOW_CLOSED: Final = "window_closed"
INVALID_SCORE: Final = "invalid_score"
UNSCORED: Final = "unscored"
OUTSIDE_THRESHOLD: Final = "outside_threshold"
OTHER_EMBEDDING: Final = "other_embedding"
EXACT_DUPLICATE: Final = "exact_duplicate"
NEAR_DUPLICATE: Final = "near_duplicate"
LOW_MATCH: Final = "low_match"
REPEATS_TEXT: Final = "text_already_released"
REPEATS_MEANING: Final = "meaning_already_released"
ALREADY_RELEASED: Final = {"jaccard": REPEATS_TEXT, "cosine": REPEATS_MEANING}
NO_EMBEDDING: Final = "no_embedding"
NO_QUOTA: Final = "no_quota"
NO_QUOTA_IN_CELL: Final = "no_quota_in_its_cell"
TOO_SIMILAR: Final = "too_similar"
OUTRANKED: Final = "outranked"
OUTGAINED: Final = "outgained"
NOT_DRAWN: Final = "not_drawn"
SEMANTIC_DUPLICATE: Final = "semantic_duplicate"
NOT_PICKED: Final = "not_picked_of_its_cluster"

MEANING: Final = {
    CHOSEN: "among the best of its stratum and unlike what was chosen before it",
    FILLED: "like one chosen before it, but nothing less similar was left for its stratum's quota",
    RESERVOIR_FULL: "its stratum has more samples than select.reservoir; the hash of its id (value) is not among the "
    "smallest (bound)",
    WINDOW_CLOSED: "it came after its window's release",
    INVALID_SCORE: "one of its scores (value) is out of its range (bound); it counts in no one's rank",
    UNSCORED: "too few of the weighted scores (bound) are numbers; the value names those that are missing",
    OUTSIDE_THRESHOLD: "one of its scores (value) is outside of its threshold in score.thresholds (bound)",
    OTHER_EMBEDDING: "its embedding (value) is of another model or size than the window's (bound)",
    NO_EMBEDDING: "it has no embedding that could be compared, which the strategy needs or others have (bound)",
    EXACT_DUPLICATE: "a better sample (nearest) says the same but for case, width and white space, so that they are "
    "alike (value) as far as can be (bound)",
    NEAR_DUPLICATE: "its Jaccard similarity (value) to a better sample (nearest) reaches the bound",
    REPEATS_TEXT: "its estimated Jaccard similarity (value) to an earlier release's sample (nearest) reaches "
    "select.novelty.max_jaccard (bound)",
    REPEATS_MEANING: "its cosine (value) to an earlier release's sample (nearest) exceeds select.novelty.max_cosine "
    "(bound)",
    LOW_MATCH: "its match-fluency percentile (value) is below select.minimum_match (bound): probable noise",
    NO_QUOTA: "the quotas (bound) give its stratum nothing",
    NO_QUOTA_IN_CELL: "so few of its stratum are in its cell of alike samples that no part of the quota falls to them "
    "(bound)",
    TOO_SIMILAR: "its cosine (value) to a chosen sample (nearest) exceeds select.diversity.max_cosine (bound)",
    OUTRANKED: "its score (value) is not above that of the last one chosen of its stratum (bound)",
    OUTGAINED: "it would have added at most the value to what is chosen, the last one chosen of its stratum the bound",
    NOT_DRAWN: "the key that chance gave it (value) is below that of the last one drawn of its stratum (bound)",
    SEMANTIC_DUPLICATE: "its cosine (value) to an earlier sample of its cluster (nearest) exceeds 1 - epsilon (bound)",
    NOT_PICKED: "others of its cluster were picked, which are evenly spread over the middle of its scores",
}
"""What each reason means, in the order in which the rules are tried."""


class Refused(NamedTuple):
    """Why a sample was refused: `metadata.filtering` without the model, which costs more than the choice."""

    reason: str
    stratum: str | None = None
    rank: int | None = None
    score: float | None = None
    score_parts: dict[str, float] | None = None
    nearest: str | None = None
    value: float | str | None = None
    bound: float | str | None = None

    def fields(self) -> dict[str, Any]:
        """Return what `metadata.filtering` holds; fields that say nothing are left out."""
        said = {name: value for name, value in zip(self._fields, self, strict=True) if value is not None}
        return {"selected": False, **said}

    def filtering(self) -> Filtering:
        """Return it as a part of a sample."""
        return Filtering(**self.fields())


def refused(
    reason: str,
    *,
    stratum: str | None = None,
    value: float | str | None = None,
    bound: float | str | None = None,
    nearest: str | None = None,
    score: float | None = None,
    score_parts: dict[str, float] | None = None,
    rank: int | None = None,
) -> Refused:
    """Return why a sample was refused."""
    return Refused(
        reason,
        stratum,
        rank,
        score,
        score_parts,
        nearest,
        rounded(value) if isinstance(value, float) else value,
        rounded(bound) if isinstance(bound, float) else bound,
    )
