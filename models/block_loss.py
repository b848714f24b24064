"""Cross-entropy over a vocabulary in blocks: loss and gradients in one walk, and no (tokens x vocabulary) tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 256


class BlockCrossEntropy(torch.autograd.Function):
    """Mean negative log-likelihood of `targets` under softmax(hidden @ weight.T), nats.

    The gradients are computed on the way forward, while a block of logits is still in the cache.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of `hidden` (tokens, size) against `weight` (vocabulary, size)."""
        hidden_gradient, weight_gradient = torch.empty_like(hidden), torch.zeros_like(weight)
        total = torch.zeros(())
        for start in range(0, len(hidden), BLOCK):
            rows, expected = hidden[start : start + BLOCK], targets[start : start + BLOCK, None]
            scores = torch.softmax(rows @ weight.T, dim=1)
            total += -scores.gather(1, expected).clamp_min(1e-30).log().sum()
            scores.scatter_add_(1, expected, torch.full(expected.shape, -1.0))
            hidden_gradient[start : start + BLOCK] = scores @ weight
            weight_gradient.addmm_(scores.T, rows)
        ctx.save_for_backward(hidden_gradient / len(hidden), weight_gradient / len(hidden))
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of `hidden` and `weight`."""
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * gradients[0], weight_gradient * gradients[0], None
