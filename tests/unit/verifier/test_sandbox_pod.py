"""The sandbox as a pod of a gVisor RuntimeClass has it: a user without rights, a read-only root, gVisor's kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from services.verifier.sandbox.gvisor import Gvisor
from services.verifier.sandbox.interpreter import interpreter, open_to_all

ROOT = Path(__file__).resolve().parents[3]
POD = "from services.verifier.sandbox import examine; print(open('/proc/version').read().strip(), *examine(), sep='|')"


@pytest.mark.skipif(not (shutil.which("runsc") and shutil.which("bwrap")), reason="runsc or bwrap is not installed")
def test_bubblewrap_holds_in_a_pod_with_a_kernel_of_gvisors(tmp_path: Path) -> None:
    python, packages = interpreter(), Path(sysconfig.get_path("purelib"))
    if python is None or not (open_to_all(packages) and open_to_all(ROOT)):
        pytest.skip("the pod's user may not read this checkout, or its packages")
    specification = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 10001, "gid": 10001},
            "args": [str(python), "-B", "-c", POD],
            "env": ["PATH=/usr/bin:/bin", f"PYTHONPATH={ROOT}:{packages}"],
            "cwd": "/tmp",
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": "/", "readonly": True},
        "mounts": [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }
    (tmp_path / "config.json").write_text(json.dumps(specification))
    command = [*Gvisor().command(tmp_path), "run", "--bundle", str(tmp_path), "pod"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "gvisor" in done.stdout, done
    assert done.stdout.strip().endswith("|bubblewrap|None"), done
