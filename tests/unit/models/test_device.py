"""The kind of the Triton instance decides where a model computes, and a GPU that is not there is refused."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from limoflow.errors import UsageError
from models.device import chosen_device, compute_exactly, instance_device
from models.embedding import EmbeddingModel
from models.likelihood import LikelihoodModel, _aligned
from models.repository import TEMPLATES, install_language_model, prepare


def has_gpu(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)


def instance(kind: str, number: int = 0, folder: Path = Path()) -> dict[str, str]:
    """What Triton's Python backend hands to a model."""
    parameters = {"model_dir": {"string_value": str(folder)}, "dtype": {"string_value": "float32"}}
    return {
        "model_config": json.dumps({"parameters": parameters}),
        "model_instance_name": "model_0_0",
        "model_instance_kind": kind,
        "model_instance_device_id": str(number),
    }


def test_an_instance_of_kind_gpu_computes_on_its_gpu_and_any_other_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, True)
    assert instance_device(instance("GPU", 1)) == "cuda:1"
    assert instance_device(instance("CPU")) == "cpu"


def test_an_instance_of_kind_gpu_is_refused_where_torch_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, False)
    with pytest.raises(UsageError, match=r"kind GPU.*sees no GPU.*LIMOFLOW_MODELS_DEVICE"):
        instance_device(instance("GPU"))
    assert instance_device(instance("CPU")) == "cpu"


def test_a_training_takes_the_gpu_that_is_there_and_refuses_to_be_sent_where_none_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_gpu(monkeypatch, True)
    assert [chosen_device(setting) for setting in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    has_gpu(monkeypatch, False)
    assert [chosen_device(setting) for setting in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(UsageError, match=r"LIMOFLOW_TRAINER_DEVICE.*sees no GPU.*auto"):
        chosen_device("cuda")


def test_the_cpu_is_left_as_it_is() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    compute_exactly("cpu")
    assert torch.are_deterministic_algorithms_enabled() == before
    logits = torch.zeros(2, 5)
    assert _aligned(logits) is logits


@pytest.mark.parametrize(("name", "model"), [("embedder", EmbeddingModel), ("ifd", LikelihoodModel)])
@pytest.mark.parametrize(("kind", "device"), [("GPU", "cuda:1"), ("CPU", "cpu")])
def test_the_triton_models_compute_where_their_instance_is(
    name: str,
    model: type,
    kind: str,
    device: str,
    encoder_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_gpu(monkeypatch, True)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
    spec = importlib.util.spec_from_file_location(f"served_{name}", TEMPLATES / name / "1" / "model.py")
    assert spec is not None
    assert spec.loader is not None
    served = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(served)
    asked: list[str] = []
    monkeypatch.setattr(served, model.__name__, lambda *_, device="cpu": asked.append(device))
    monkeypatch.setattr(served.torch, "set_num_threads", lambda _: None)
    served.TritonPythonModel().initialize(instance(kind, 1, encoder_folder))
    assert asked == [device]


@pytest.mark.parametrize(("device", "kind"), [("cpu", "KIND_CPU"), ("cuda", "KIND_GPU")])
def test_every_model_of_a_repository_is_of_the_kind_of_its_device(
    device: str, kind: str, causal_folder: Path, tmp_path: Path
) -> None:
    prepare(TEMPLATES, tmp_path, catalog_root=causal_folder.parents[1], device=device)
    install_language_model(tmp_path, "ifd-a", causal_folder, device=device)
    configs = [path.read_text(encoding="utf-8") for path in tmp_path.glob("*/config.pbtxt")]
    assert len(configs) == 3
    assert {found for config in configs for found in re.findall(r"kind: (\w+)", config)} == {kind}


def test_a_repository_is_for_the_cpu_unless_told_otherwise(tmp_path: Path) -> None:
    prepare(TEMPLATES, tmp_path / "plain")
    prepare(TEMPLATES, tmp_path / "cpu", device="cpu")
    plain, cpu = ((tmp_path / name / "embedder" / "config.pbtxt").read_bytes() for name in ("plain", "cpu"))
    assert plain == cpu


def test_a_device_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"device 'gpu'.*cpu, cuda.*LIMOFLOW_MODELS_DEVICE"):
        prepare(TEMPLATES, tmp_path, device="gpu")
    assert not (tmp_path / "embedder").exists()
