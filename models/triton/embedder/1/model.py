"""Triton model: sentence embeddings. TEXT (n, 1) gives EMBEDDING (n, dimensions), the same bits in any batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as backend

from models.device import instance_device
from models.embedding import EmbeddingModel, embedder_path
from models.serving import answer_requests, model_parameters, texts_of
from models.stubs import end_predecessors


class TritonPythonModel:
    """Called by the Python backend of Triton."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model where the instance is; one thread, so that sums do not depend on the machine."""
        torch.set_num_threads(1)
        end_predecessors(args["model_instance_name"])
        parameters = model_parameters(args)
        folder, device = embedder_path(parameters["model_dir"]), instance_device(args)
        self._model = EmbeddingModel(folder, parameters["dtype"], device=device)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its embeddings or its own error; never raise."""
        return answer_requests(requests, self._questions, self._embed, self._response, _refusal)

    def _questions(self, request: Any) -> list[str]:
        return texts_of(backend.get_input_tensor_by_name(request, "TEXT").as_numpy())

    def _embed(self, texts: list[str]) -> list[Any]:
        return list(self._model.embed(texts))

    def _response(self, embeddings: Any) -> Any:
        return backend.InferenceResponse([backend.Tensor("EMBEDDING", np.stack(embeddings))])


def _refusal(message: str) -> Any:
    return backend.InferenceResponse(error=backend.TritonError(message, backend.TritonError.INVALID_ARG))
