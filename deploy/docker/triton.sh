#!/bin/sh
# Serves the model repository below LIMOFLOW_HOME with the Triton binary of the nvidia-pytriton wheel.
set -eu
home="${LIMOFLOW_HOME:-/var/lib/limoflow}"
device="${LIMOFLOW_MODELS_DEVICE:-cpu}"
eval "$(python - "$home" "$device" <<'PYTHON'
import shlex
import sys
from pathlib import Path

from limoflow.stack.triton import assemble_backends, find_triton
from models.repository import TEMPLATES, first_models, prepare

home = Path(sys.argv[1])
found = find_triton(Path("/opt/limoflow"))
prepare(TEMPLATES, home / "triton", catalog_root=home, device=sys.argv[2])
backends = assemble_backends(found, Path("/tmp/backends"))
for name, value in {
    "server": found.binary,
    "backends": backends,
    "libraries": f"{found.library}:{found.libraries}",
    "first": " ".join(f"--load-model={model}" for model in first_models(home)),
}.items():
    print(f"{name}={shlex.quote(str(value))}")
PYTHON
)"
export LD_LIBRARY_PATH="$libraries" OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
# A causal model that cannot be loaded is the matter of whoever asks for it; without the embedder no pod is ready.
# shellcheck disable=SC2086
exec "$server" --model-repository="$home/triton" --backend-directory="$backends" \
    --model-control-mode=explicit $first --exit-on-error=false --exit-timeout-secs=10 --disable-auto-complete-config \
    --http-address=0.0.0.0 --http-port=8000 --grpc-address=0.0.0.0 --grpc-port=8001 \
    --metrics-address=0.0.0.0 --metrics-port=8002
