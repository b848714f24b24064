#!/bin/sh
# Serves the model repository below LIMOFLOW_HOME with the server of NVIDIA's image.
set -eu
home="${LIMOFLOW_HOME:-/var/lib/limoflow}"
device="${LIMOFLOW_MODELS_DEVICE:-cpu}"
first="$(python3 -c '
import sys
from pathlib import Path

from models.repository import TEMPLATES, first_models, prepare

home = Path(sys.argv[1])
prepare(TEMPLATES, home / "triton", catalog_root=home, device=sys.argv[2])
print(" ".join(f"--load-model={model}" for model in first_models(home)))
' "$home" "$device")"
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
# A causal model that cannot be loaded is the matter of whoever asks for it; without the embedder no pod is ready.
# shellcheck disable=SC2086
exec tritonserver --model-repository="$home/triton" \
    --model-control-mode=explicit $first --exit-on-error=false --exit-timeout-secs=10 --disable-auto-complete-config \
    --http-address=0.0.0.0 --http-port=8000 --grpc-address=0.0.0.0 --grpc-port=8001 \
    --metrics-address=0.0.0.0 --metrics-port=8002
