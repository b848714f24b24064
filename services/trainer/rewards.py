"""What every row earned on the way of a training: the records of the learning potential (LIMR, Li et al. 2025).

LIMR records the accuracy of each prompt in each epoch of reinforcement learning. [own] Here the reward is
exp(-mean loss of the answer), the geometric mean of the probabilities of its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from schemas.base import canonical_json
from services.trainer.batches import IGNORED, Encoded, collate

DIGITS = 6

Rewards = list[float | None]


def reward_steps(steps: int, count: int) -> frozenset[int]:
    """Return the steps after which rewards are recorded: `count` of them, evenly, the last step among them.

    Fewer where there are fewer steps; none where `count` is 0.
    """
    return frozenset(max(1, round(part * steps / count)) for part in range(1, count + 1))


def answer_rewards(model: Any, rows: Sequence[Encoded], padding: int, size: int) -> Rewards:
    """Return exp(-mean loss of the answer) of each row, in [0, 1]; None for a row whose answer bears no loss.

    Parameters
    ----------
    model
        A causal language model; it is left in training mode.
    rows : sequence of Encoded
    padding : int
        Token id that fills.
    size : int
        Rows of a batch.
    """
    found: Rewards = [None] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: (len(rows[index].ids), index))
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), size):
            members = order[start : start + size]
            batch = collate([rows[index] for index in members], padding).on(model.device)
            logits = model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits[:, :-1]
            targets = batch.labels[:, 1:]
            losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none")
            counts = (targets != IGNORED).sum(dim=1).tolist()
            for index, total, count in zip(members, losses.sum(dim=1).tolist(), counts, strict=True):
                found[index] = round(math.exp(-total / count), DIGITS) if count else None
    model.train()
    return found


def rewards_file(rows: Sequence[dict[str, Any]], checkpoints: Sequence[Rewards]) -> bytes:
    """Return JSON lines `{content_hash, id, rewards}`, one for each row, in the rows' order."""
    return b"".join(
        canonical_json(
            {"id": row["id"], "content_hash": row["content_hash"], "rewards": [at[place] for at in checkpoints]}
        )
        + b"\n"
        for place, row in enumerate(rows)
    )
