"""Prompt templates of the conditioned pass, and the texts of the direct pass that the authors of IFD pair with them."""

from __future__ import annotations

ALPACA_HEADER = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def alpaca_prompt(instruction: str) -> str:
    """Return the Alpaca prompt without input, as in Cherry_LLM: nothing stands between its end and the answer.

    Taori et al., Stanford Alpaca, 2023; Li et al., From Quantity to Quality (IFD), 2024.
    """
    return f"{ALPACA_HEADER}\n\n### Instruction:\n{instruction}\n\n### Response:"


def wizard_prompt(instruction: str) -> str:
    """Return the prompt of WizardLM (Xu et al. 2023) as Cherry_LLM uses it."""
    return f"{instruction}\n\n### Response:"


def vicuna_prompt(instruction: str) -> str:
    """Return the prompt of Vicuna 1.1 as Cherry_LLM uses it."""
    return f"{VICUNA_SYSTEM} USER: {instruction} ASSISTANT:"


def plain_prompt(instruction: str) -> str:
    """Return the instruction and a line break, the prompt of Superfiltering (Li et al. 2024)."""
    return f"{instruction}\n"


TEMPLATES = {"alpaca": alpaca_prompt, "wizard": wizard_prompt, "vicuna": vicuna_prompt, "plain": plain_prompt}
# What Cherry_LLM writes before an answer that stands alone, and the tokens that its scripts allow for it.
CHERRY_MARKERS = {"alpaca": ("### Response:", 4), "wizard": ("### Response:", 4), "vicuna": ("ASSISTANT:", 6)}
