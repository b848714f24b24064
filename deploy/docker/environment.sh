#!/bin/sh
# Builds the environment of one image from its lock. Run in the folder above requirements/.
# environment NAME           /opt/limoflow with everything of NAME.lock; it finds limoflow itself in /opt/code
# environment NAME torch     /opt/torch with torch and CUDA alone: a layer that several images have in common
# environment NAME beside    /opt/limoflow with the rest, which finds /opt/torch
set -eu
uv=/opt/build/bin/uv
export UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_CACHE_DIR=/var/cache/uv
wanted=$(mktemp)
# An entry of a lock is a line `name==version` and the indented lines below it. The package triton (1 GB) compiles
# kernels for torch.compile, which nothing here uses.
awk -v part="${2:-all}" '
    /^[a-z0-9]/ { heavy = /^(torch|cuda-[a-z]+|nvidia-[a-z0-9-]+)==/ && !/^nvidia-pytriton==/; left_out = /^triton==/ }
    part == "all" || (!left_out && (part == "torch") == heavy)
' "requirements/$1.lock" >"$wanted"
if [ "${2:-all}" = torch ]; then
    exec "$uv" pip install --quiet --no-deps --require-hashes --python "$(command -v python)" \
        --target /opt/torch --requirements "$wanted"
fi
"$uv" venv --quiet --python "$(command -v python)" /opt/limoflow
"$uv" pip install --quiet --no-deps --require-hashes --python /opt/limoflow/bin/python --requirements "$wanted"
[ "${2:-all}" = all ] || echo /opt/torch >"$(echo /opt/limoflow/lib/python3*/site-packages)/torch.pth"
[ "$1" != triton ] || exit 0  # it has the code in its working folder
echo /opt/code >"$(echo /opt/limoflow/lib/python3*/site-packages)/code.pth"
cat >/opt/limoflow/bin/limoflow <<'END'
#!/opt/limoflow/bin/python
import sys

from limoflow.cli.main import main

sys.exit(main())
END
chmod 755 /opt/limoflow/bin/limoflow
