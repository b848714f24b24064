"""Triton model: answer likelihoods with and without the instruction, both passes in one call."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as backend

from limoflow.inference.types import DEFAULT_LAYOUT, LABELS, LABELS_LAYOUT, AnswerLikelihood
from models.device import instance_device
from models.likelihood import LikelihoodModel
from models.serving import answer_requests, model_parameters, texts_of
from models.stubs import end_predecessors

OUTPUTS = (
    ("NLL_CONDITIONED", "loss_conditioned", np.float32),
    ("NLL_DIRECT", "loss_direct", np.float32),
    ("TOKENS_CONDITIONED", "tokens_conditioned", np.int32),
    ("TOKENS_DIRECT", "tokens_direct", np.int32),
    ("TRUNCATED", "truncated", np.bool_),
    ("REASON", "reason", np.object_),
)
UNASKED = AnswerLikelihood(math.nan, math.nan, 0, 0, truncated=False)
NO_LABELS = (math.nan,) * len(LABELS)
Answer = tuple[AnswerLikelihood, tuple[float, ...]]


class TritonPythonModel:
    """Called by the Python backend of Triton."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model named by the parameter model_dir where the instance is.

        One thread, so that sums do not depend on the machine.
        """
        torch.set_num_threads(1)
        end_predecessors(args["model_instance_name"])
        parameters = model_parameters(args)
        folder, device = Path(parameters["model_dir"]), instance_device(args)
        self._model = LikelihoodModel(folder, parameters["dtype"], device=device)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its likelihoods or its own error; never raise."""
        return answer_requests(requests, self._questions, self._answers, self._response, _refusal)

    def _questions(self, request: Any) -> list[tuple[str, str, str]]:
        names = ("INSTRUCTION", "RESPONSE")
        instructions, responses = (
            texts_of(backend.get_input_tensor_by_name(request, name).as_numpy()) for name in names
        )
        # Optional, so that a client of the version before is still understood.
        stated = backend.get_input_tensor_by_name(request, "LAYOUT")
        layouts = [DEFAULT_LAYOUT] * len(instructions) if stated is None else texts_of(stated.as_numpy())
        return list(zip(instructions, responses, layouts, strict=True))

    def _answers(self, questions: list[tuple[str, str, str]]) -> list[Answer]:
        answers: list[Answer] = [(UNASKED, NO_LABELS)] * len(questions)
        for_labels = [index for index, question in enumerate(questions) if question[2] == LABELS_LAYOUT]
        for_losses = [index for index, question in enumerate(questions) if question[2] != LABELS_LAYOUT]
        for index, found in zip(for_labels, self._model.labels([questions[i][0] for i in for_labels]), strict=True):
            answers[index] = (UNASKED, found)
        scored = self._model.score([questions[i][:2] for i in for_losses], [questions[i][2] for i in for_losses])
        for index, likelihood in zip(for_losses, scored, strict=True):
            answers[index] = (likelihood, NO_LABELS)
        return answers

    def _response(self, answers: Any) -> Any:
        tensors = [
            backend.Tensor(name, np.array([[getattr(likelihood, field)] for likelihood, _ in answers], dtype=dtype))
            for name, field, dtype in OUTPUTS
        ]
        labels = np.array([found for _, found in answers], dtype=np.float32)
        return backend.InferenceResponse([*tensors, backend.Tensor("LABELS", labels)])


def _refusal(message: str) -> Any:
    return backend.InferenceResponse(error=backend.TritonError(message, backend.TritonError.INVALID_ARG))
