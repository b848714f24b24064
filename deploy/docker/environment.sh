#!/bin/sh
# Builds /opt/limoflow: the environment of one image, from its lock, and limoflow itself (Triton has the code apart).
set -eu
/opt/build/bin/uv venv --quiet --python "$(command -v python)" /opt/limoflow
/opt/build/bin/uv pip sync --quiet --require-hashes --python /opt/limoflow/bin/python "requirements/$1.lock"
[ "$1" = triton ] || /opt/build/bin/uv pip install --quiet --no-deps --no-index \
    --python /opt/limoflow/bin/python /wheels/*.whl
