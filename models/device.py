"""Where a model computes: on the CPU, or on a GPU whose arithmetic is kept as exact and repeatable as can be.

A GPU adds up in other orders than the CPU, so their answers differ in the last digits, and a run must not mix them. On
either, the same text has the same bits in any company.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from limoflow.errors import UsageError

CPU = "cpu"
CUDA = "cuda"
AUTO = "auto"
NO_GPU = "torch sees no GPU: give this process one (driver, device plugin, nvidia.com/gpu of the pod)"


def instance_device(args: Mapping[str, str]) -> str:
    """Return the device of a Triton instance, `cuda:N` for one of kind GPU, of the `args` of its `initialize`.

    Raises
    ------
    UsageError
        If the instance is of kind GPU and torch sees none: answering from the CPU would mix two arithmetics.
    """
    if args["model_instance_kind"] != "GPU":
        return CPU
    if not _sees_gpu():
        raise UsageError(f"the model's instance is of kind GPU, but {NO_GPU}, or set LIMOFLOW_MODELS_DEVICE to cpu")
    return f"{CUDA}:{args['model_instance_device_id']}"


def chosen_device(setting: str) -> str:
    """Return `cpu` or `cuda` for the trainer's setting `auto`, `cpu` or `cuda`; `auto` takes a GPU where there is one.

    Raises
    ------
    UsageError
        If it is `cuda` and torch sees no GPU.
    """
    if setting == CPU:
        return CPU
    if _sees_gpu():
        return CUDA
    if setting == AUTO:
        return CPU
    raise no_gpu(setting)


def no_gpu(setting: str) -> UsageError:
    """Return the refusal of a trainer's setting that needs a GPU."""
    return UsageError(f"LIMOFLOW_TRAINER_DEVICE is {setting}, but {NO_GPU}, or set it to cpu or auto")


def compute_exactly(device: str) -> None:
    """Let a GPU compute in full float32 (no TF32) and with repeatable kernels, in this whole process.

    The CPU needs nothing of this and stays as it is.
    """
    if device == CPU:
        return
    import torch

    # Read when the first product is computed; without it, cuBLAS may add up in another order in the same process.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory that was never written, and filling it takes time.
    memory: Any = torch.utils.deterministic
    memory.fill_uninitialized_memory = False


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
