"""Triton model: answer likelihoods with and without the instruction, both passes in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as backend

from models.likelihood import LikelihoodModel
from models.serving import answer_requests, model_parameters, texts_of

OUTPUTS = (
    ("NLL_CONDITIONED", "loss_conditioned", np.float32),
    ("NLL_DIRECT", "loss_direct", np.float32),
    ("TOKENS_CONDITIONED", "tokens_conditioned", np.int32),
    ("TOKENS_DIRECT", "tokens_direct", np.int32),
    ("TRUNCATED", "truncated", np.bool_),
)


class TritonPythonModel:
    """Called by the Python backend of Triton."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model named by the parameter model_dir; one thread, so that sums do not depend on the machine."""
        torch.set_num_threads(1)
        parameters = model_parameters(args)
        self._model = LikelihoodModel(Path(parameters["model_dir"]), parameters["dtype"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its likelihoods or its own error; never raise."""
        return answer_requests(requests, self._questions, self._model.score, self._response, _refusal)

    def _questions(self, request: Any) -> list[tuple[str, str]]:
        columns = [backend.get_input_tensor_by_name(request, name).as_numpy() for name in ("INSTRUCTION", "RESPONSE")]
        return list(zip(texts_of(columns[0]), texts_of(columns[1]), strict=True))

    def _response(self, answers: Any) -> Any:
        return backend.InferenceResponse(
            [
                backend.Tensor(name, np.array([[getattr(answer, field)] for answer in answers], dtype=dtype))
                for name, field, dtype in OUTPUTS
            ]
        )


def _refusal(message: str) -> Any:
    return backend.InferenceResponse(error=backend.TritonError(message, backend.TritonError.INVALID_ARG))
