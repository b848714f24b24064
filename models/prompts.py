"""Prompt templates of the conditioned pass."""

from __future__ import annotations

ALPACA_HEADER = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)


def alpaca_prompt(instruction: str) -> str:
    """Return the Alpaca prompt without input, as in Cherry_LLM: nothing stands between its end and the answer.

    Taori et al., Stanford Alpaca, 2023; Li et al., From Quantity to Quality (IFD), 2024.
    """
    return f"{ALPACA_HEADER}\n\n### Instruction:\n{instruction}\n\n### Response:"
