import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limoflow.errors import MissingDependency, StackError
from limoflow.stack.ports import is_free
from limoflow.stack.triton import ServedModels, TritonServer, assemble_backends, find_triton


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment whose Python names a package folder with empty files in the places of the real ones."""
    folder = tmp_path / "venv"
    server = folder / "site-packages" / "pytriton" / "tritonserver"
    for file in (
        "bin/tritonserver",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        "python_backend_stubs/3.11/triton_python_backend_stub",
    ):
        (server / file).parent.mkdir(parents=True, exist_ok=True)
        (server / file).touch()
    found = {"package": str(server.parent), "version": "9.9", "python": "3.11", "library": "/opt/python/lib"}
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho '{json.dumps(found)}'\n")
    python.chmod(0o755)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    model = tmp_path / "repository" / "echo"
    model.mkdir(parents=True)
    (model / "config.pbtxt").touch()
    return model.parent


def test_without_the_environment_the_message_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="make venv-triton"):
        find_triton(tmp_path / "none")


def test_an_environment_without_the_package_is_missing_it(venv: Path) -> None:
    (venv / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(MissingDependency, match="does not hold nvidia-pytriton"):
        find_triton(venv)


@pytest.mark.parametrize("file", ["bin/tritonserver", "python_backend_stubs/3.11/triton_python_backend_stub"])
def test_a_package_without_a_needed_file_is_missing_it(venv: Path, file: str) -> None:
    (venv / "site-packages" / "pytriton" / "tritonserver" / file).unlink()
    with pytest.raises(MissingDependency, match=f"nvidia-pytriton 9.9 lacks .*{file}"):
        find_triton(venv)


def test_backends_are_assembled_once_and_complete(venv: Path, tmp_path: Path) -> None:
    installation = find_triton(venv)
    with ThreadPoolExecutor(4) as pool:
        (folder,) = set(pool.map(lambda _: assemble_backends(installation, tmp_path / "cache"), range(4)))
    backend = folder / "python"
    assert sorted(file.name for file in backend.iterdir()) == [
        "libtriton_python.so",
        "triton_python_backend_stub",
        "triton_python_backend_utils.py",
    ]
    assert (backend / "triton_python_backend_stub").stat().st_mode & 0o111
    assert [entry for entry in (tmp_path / "cache").iterdir() if entry.is_dir()] == [folder]


def test_a_model_that_the_repository_lacks_is_an_error(venv: Path, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no model 'ehco'"):
        TritonServer(venv, ServedModels(repository, ("ehco",)), tmp_path)


def test_the_server_listens_on_loopback_and_loads_the_named_models(
    venv: Path, repository: Path, tmp_path: Path
) -> None:
    packages = (tmp_path / "site" / "models",)
    models = ServedModels(repository, ("echo",), packages, {"MODEL_FOLDER": "x"}, warm=("other",))
    server = TritonServer(venv, models, tmp_path / "state", tmp_path / "cache")
    spec = server.spec()
    assert {f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")} <= set(spec.command)
    assert f"--grpc-port={server.grpc_port}" in spec.command
    assert server.grpc_address == f"127.0.0.1:{server.grpc_port}"
    assert "--model-control-mode=explicit" in spec.command
    assert {"--load-model=echo", "--load-model=other", "--exit-on-error=false"} <= set(spec.command)
    assert spec.env["MODEL_FOLDER"] == "x"
    assert spec.env["CUDA_VISIBLE_DEVICES"] == ""
    assert spec.env["PATH"].startswith(f"{venv / 'bin'}:")
    assert [(link.name, link.readlink()) for link in spec.cwd.iterdir()] == [("models", tmp_path / "site" / "models")]
    assert not is_free(server.http_port)
    spec.clean()
    assert is_free(server.http_port)


def test_each_state_folder_has_its_own_shared_memory_names(venv: Path, repository: Path, tmp_path: Path) -> None:
    models = ServedModels(repository, ("echo",))
    prefixes = {
        TritonServer(venv, models, tmp_path / name, tmp_path / "cache").shared_memory_prefix for name in ("a", "b", "a")
    }
    assert len(prefixes) == 2
