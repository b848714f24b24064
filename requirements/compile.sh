#!/bin/sh
# Writes every lock anew. Locks of the images follow app.lock, so a service runs in its image what the tests ran.
# Usage: requirements/compile.sh            needs uv on the PATH, or in UV.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-uv}"

compile() {
    lock="requirements/$1.lock"
    shift
    "$uv" pip compile --quiet --generate-hashes --no-emit-index-url --python-version "${python:-3.11}" \
        --custom-compile-command requirements/compile.sh "$@" --output-file "$lock"
}

compile app --extra dev pyproject.toml
compile triton requirements/triton.in
python=3.12 compile triton-ngc requirements/triton-ngc.in
compile build requirements/build.in
compile fuzz requirements/fuzz.in
compile supply requirements/supply.in
# The images with the command line also plan runs (`limoflow run`), which reads sources and looks at every rule of a spec;
# the trainer's trains the embedded model too.
planning="--constraints requirements/app.lock --extra ingestor --extra s3 --extra selector --extra chat"
compile cli $planning pyproject.toml
compile ingestor --constraints requirements/app.lock --extra ingestor --extra s3 pyproject.toml
for service in generator verifier scorer selector exporter; do
    compile "$service" --constraints requirements/app.lock --extra "$service" pyproject.toml
done
compile trainer $planning --extra trainer pyproject.toml
