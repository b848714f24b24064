"""Why a sample was chosen or refused: the words, and what stands beside them in `metadata.filtering`."""

from __future__ import annotations

from typing import Final

from schemas.sample import Filtering
from services.selector.combine import rounded

CHOSEN: Final = "chosen"
FILLED: Final = "chosen_to_fill_quota"

RESERVOIR_FULL: Final = "reservoir_full"
WINDOW_CLOSED: Final = "window_closed"
UNSCORED: Final = "unscored"
OTHER_EMBEDDING: Final = "other_embedding"
EXACT_DUPLICATE: Final = "exact_duplicate"
NEAR_DUPLICATE: Final = "near_duplicate"
LOW_MATCH: Final = "low_match"
NO_QUOTA: Final = "no_quota"
TOO_SIMILAR: Final = "too_similar"
OUTRANKED: Final = "outranked"

MEANING: Final = {
    CHOSEN: "among the best of its stratum and unlike what was chosen before it",
    FILLED: "like one chosen before it, but nothing less similar was left for its stratum's quota",
    RESERVOIR_FULL: "its stratum has more samples than select.reservoir; the hash of its id (value) is not among the "
    "smallest (bound)",
    WINDOW_CLOSED: "it came after its window's release",
    UNSCORED: "none of the weighted scores is a number",
    OTHER_EMBEDDING: "its embedding (value) is of another model or size than the window's (bound)",
    EXACT_DUPLICATE: "a better sample (nearest) says the same but for case, width and white space",
    NEAR_DUPLICATE: "its Jaccard similarity (value) to a better sample (nearest) reaches the bound",
    LOW_MATCH: "its match-fluency percentile (value) is below select.minimum_match (bound): probable noise",
    NO_QUOTA: "the quotas (bound) give its stratum nothing",
    TOO_SIMILAR: "its cosine (value) to a chosen sample (nearest) exceeds select.diversity.max_cosine (bound)",
    OUTRANKED: "its score (value) is not above that of the last one chosen of its stratum (bound)",
}
"""What each reason means, in the order in which the rules are tried."""


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
) -> Filtering:
    """Return why a sample was refused; fields that say nothing are left unset."""
    fields = {
        "stratum": stratum,
        "value": rounded(value) if isinstance(value, float) else value,
        "bound": rounded(bound) if isinstance(bound, float) else bound,
        "nearest": nearest,
        "score": score,
        "score_parts": score_parts,
        "rank": rank,
    }
    return Filtering(selected=False, reason=reason, **{name: it for name, it in fields.items() if it is not None})
