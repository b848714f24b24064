"""A real Triton Inference Server on loopback: the binary inside the nvidia-pytriton wheel, started directly."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from limoflow.errors import MissingDependency, StackError
from limoflow.stack.paths import cache_folder
from limoflow.stack.ports import LOOPBACK, PortReservation
from limoflow.stack.processes import ProcessSpec
from limoflow.stack.readiness import answers_http

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend puts its regions
_SHARED_MEMORY_BYTES = 4 << 20
_HOW_TO_GET = "build the Triton environment with 'make venv-triton', or use --local"
# Run by the Python of the Triton environment, because only that one knows where its packages and library lie.
_LOOK = """
import importlib.metadata, importlib.util, json, sys, sysconfig
spec = importlib.util.find_spec("pytriton")
print(json.dumps({
    "package": spec.submodule_search_locations[0],
    "version": importlib.metadata.version("nvidia-pytriton"),
    "python": "%d.%d" % sys.version_info[:2],
    "library": sysconfig.get_config_var("LIBDIR"),
}))
"""


@dataclass(frozen=True, slots=True)
class TritonInstallation:
    """Where an environment keeps the server.

    Attributes
    ----------
    package : Path
        Folder of the package ``pytriton``.
    version : str
        Version of nvidia-pytriton.
    python : str
        Version of the environment's Python, such as ``3.11``.
    library : Path
        Folder of libpython.
    """

    package: Path
    version: str
    python: str
    library: Path

    @property
    def binary(self) -> Path:
        """The server."""
        return self.package / "tritonserver" / "bin" / "tritonserver"

    @property
    def stub(self) -> Path:
        """The process that runs Python models, for the environment's Python."""
        return self.package / "tritonserver" / "python_backend_stubs" / self.python / "triton_python_backend_stub"

    @property
    def libraries(self) -> Path:
        """Shared libraries of the server."""
        return self.package.parent / "nvidia_pytriton.libs"


def find_triton(venv: Path) -> TritonInstallation:
    """Look into an environment for the Triton server.

    Raises
    ------
    MissingDependency
        If the environment, the package, the binary or the stub for its Python is missing.
    """
    python = venv / "bin" / "python"
    if not python.exists():
        raise MissingDependency(f"there is no Triton environment in {venv}: {_HOW_TO_GET}")
    looked = subprocess.run([python, "-c", _LOOK], capture_output=True, text=True, timeout=30, check=False)
    if looked.returncode != 0:
        raise MissingDependency(f"{venv} does not hold nvidia-pytriton: {_HOW_TO_GET}")
    found = json.loads(looked.stdout)
    installation = TritonInstallation(
        Path(found["package"]), found["version"], found["python"], Path(found["library"] or "/usr/lib")
    )
    for needed in (installation.binary, installation.stub):
        if not needed.is_file():
            raise MissingDependency(f"nvidia-pytriton {installation.version} lacks {needed}: {_HOW_TO_GET}")
    return installation


def assemble_backends(installation: TritonInstallation, cache: Path | None = None) -> Path:
    """Put the Python backend and its stub into one folder of the cache, where that has not been done; return it."""
    parent = cache or cache_folder()
    folder = parent / f"triton-{installation.version}-python{installation.python}-backends"
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        with tempfile.TemporaryDirectory(dir=parent, prefix=f"{folder.name}.part-") as scratch:
            backend = Path(scratch) / "backends" / "python"
            shutil.copytree(installation.package / "tritonserver" / "backends" / "python", backend)
            shutil.copy(installation.stub, backend)
            (backend / installation.stub.name).chmod(0o755)
            backend.parent.rename(folder)
    return folder


@dataclass(frozen=True, slots=True)
class ServedModels:
    """What a Triton server serves.

    Attributes
    ----------
    repository : Path
        Model repository.
    load : tuple of str
        Models to load at start; the server is ready when they are.
    packages : tuple of Path
        Folders of Python packages that the models import. Only these are shown to them, because the folder that holds
        them may be an environment with other versions of the models' libraries.
    environment : mapping
        Further variables for the models.
    warm : tuple of str
        Models to load at start too, so that the first request finds them; the server is ready even where one cannot be
        loaded. Others are loaded and unloaded by request.
    """

    repository: Path
    load: tuple[str, ...]
    packages: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    warm: tuple[str, ...] = ()


class TritonServer:
    """One server: its ports, its folder ``<state>/triton``, its process.

    Parameters
    ----------
    venv : Path
        Environment with nvidia-pytriton and what the models need.
    models : ServedModels
        What it serves.
    state_folder : Path
        Folder of the stack.
    cache : Path, optional
        Folder of downloads; the user's cache where None.

    Raises
    ------
    MissingDependency
        If the environment does not hold the server.
    StackError
        If the repository lacks a model.
    """

    def __init__(self, venv: Path, models: ServedModels, state_folder: Path, cache: Path | None = None) -> None:
        self._venv = venv.absolute()
        self._models = models
        for model in models.load:
            if not (models.repository / model / "config.pbtxt").is_file():
                raise StackError(f"the model repository {models.repository} has no model {model!r} (no config.pbtxt)")
        self._installation = find_triton(venv)
        self._backends = assemble_backends(self._installation, cache)
        self.folder = state_folder.absolute() / "triton"
        self._reservation = PortReservation(3)
        self.http_port, self.grpc_port, self.metrics_port = self._reservation.ports

    @property
    def grpc_address(self) -> str:
        """Address for gRPC clients, ``host:port``."""
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def shared_memory_prefix(self) -> str:
        """Start of the names of this server's shared memory regions; no other state folder has the same."""
        return f"limoflow_{hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]}_"

    def spec(self) -> ProcessSpec:
        """Say how to run the server."""
        return ProcessSpec(
            name="triton",
            command=self._command(),
            env=self._variables(),
            log_path=self.folder.parent / "logs" / "triton.log",
            ready=self._serves,
            ready_timeout_s=180.0,
            # It keeps nothing that a kill could harm, and takes five seconds to take its models apart.
            stop_grace_s=0.5,
            # The stub's embedded Python ignores PYTHONPATH; it imports from its working folder first.
            cwd=self._show_packages(),
            ports={"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port},
            clean=self._clean,
        )

    def _serves(self) -> bool:
        return all(answers_http(self.http_port, f"/v2/models/{model}/ready") for model in self._models.load)

    def _command(self) -> tuple[str, ...]:
        listeners = {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}
        python_backend = {
            "shm-region-prefix-name": self.shared_memory_prefix,
            "shm-default-byte-size": _SHARED_MEMORY_BYTES,
            "shm-growth-byte-size": _SHARED_MEMORY_BYTES,
        }
        return (
            str(self._installation.binary),
            f"--model-repository={self._models.repository.absolute()}",
            f"--backend-directory={self._backends}",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in (*self._models.load, *self._models.warm)),
            "--exit-on-error=false",
            *(f"--{name}-address={LOOPBACK}" for name in listeners),
            *(f"--{name}-port={port}" for name, port in listeners.items()),
            *(f"--backend-config=python,{name}={value}" for name, value in python_backend.items()),
            "--disable-auto-complete-config",
        )

    def _variables(self) -> dict[str, str]:
        return {
            "PATH": f"{self._venv / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": f"{self._installation.library}{os.pathsep}{self._installation.libraries}",
            "VIRTUAL_ENV": str(self._venv),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            **self._models.environment,
        }

    def _show_packages(self) -> Path:
        shown = self.folder / "packages"
        shutil.rmtree(shown, ignore_errors=True)
        shown.mkdir(parents=True)
        for package in self._models.packages:
            (shown / package.name).symlink_to(package.absolute(), target_is_directory=True)
        return shown

    def _clean(self) -> None:
        self._reservation.release()
        for region in _SHARED_MEMORY.glob(f"{self.shared_memory_prefix}*"):
            region.unlink(missing_ok=True)
