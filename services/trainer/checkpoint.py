"""The state of a training between two steps, in one file that is replaced whole."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict

from models.device import CPU, CUDA
from services.trainer.job import replace_file
from services.trainer.rewards import Rewards


@dataclass(slots=True)
class Progress:
    """How far a training has come.

    Attributes
    ----------
    step : int
        Optimiser steps done.
    tokens : int
        Answer tokens learnt from, repeats included.
    losses : list of float
        Mean loss of each step, nats per answer token.
    rewards : list
        Of each row, at each point at which they were recorded.
    """

    step: int = 0
    tokens: int = 0
    losses: list[float] = field(default_factory=list)
    rewards: list[Rewards] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trainable:
    """What a checkpoint must bring back: adapter, optimiser and schedule (and torch's random state)."""

    model: Any
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def save(self, path: Path, progress: Progress) -> None:
        """Write a checkpoint over the last one, by one rename."""
        state = {
            "adapter": get_peft_model_state_dict(self.model, save_embedding_layers=False),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state() if self._device == CUDA else None,
            "device": self._device,
            "step": progress.step,
            "tokens": progress.tokens,
            "losses": progress.losses,
            "rewards": progress.rewards,
        }
        content = io.BytesIO()
        torch.save(state, content)
        replace_file(path, content.getvalue())

    def resume(self, path: Path) -> Progress:
        """Take up the checkpoint, or begin where there is none.

        A file that cannot be read is removed: the training begins anew and ends with the same weights. So is one of
        another device, of which an adapter would be half of either arithmetic.
        """
        if not path.is_file():
            return Progress()
        try:
            state = torch.load(path, weights_only=True, map_location=CPU)
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            return self._anew(path)
        if state.get("device", CPU) != self._device:
            return self._anew(path)
        set_peft_model_state_dict(self.model, state["adapter"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if self._device == CUDA:
            torch.cuda.set_rng_state(state["random_gpu"])
        return Progress(state["step"], state["tokens"], state["losses"], state["rewards"])

    @property
    def _device(self) -> str:
        return str(self.model.device.type)

    def _anew(self, path: Path) -> Progress:
        path.unlink()
        return Progress()
