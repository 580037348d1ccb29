#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Python environments outside the repository; the C program needs none of them.  Safe to run again.
#   venv.sh         training scripts and cross-checks: ${SEMCAL_VENV:-$HOME/.cache/semcal/venv}
#   venv.sh peers   scripts/bench_peers.sh: ${SEMCAL_PEERS_VENV:-$HOME/.cache/semcal/peers}.  llama.cpp is compiled
#                   from the source distribution of llama-cpp-python for this very processor (AVX-512, bf16 where
#                   it has them), with OpenMP and its own fast matrix products; that takes some minutes.
set -eu
python=${PYTHON:-python3}
packages='numpy==2.4.6 torch==2.15.0 transformers==5.23.0 tokenizers==0.23.3 safetensors==0.8.0'
compiled=''
case "${1:-}" in
    '')
        venv=${SEMCAL_VENV:-$HOME/.cache/semcal/venv}
        packages="$packages scipy==1.17.1 relplot==1.0.3 h5py==3.16.0 xarray==2026.9.0 h5netcdf==1.8.2" ;;
    peers)
        venv=${SEMCAL_PEERS_VENV:-$HOME/.cache/semcal/peers}
        packages="$packages gguf==0.19.0"
        compiled='llama-cpp-python==0.3.36' ;;
    *)
        echo "usage: venv.sh [peers]" >&2
        exit 2 ;;
esac

check='import sys
from importlib.metadata import version
for p in sys.argv[1:]:
    name, want = p.split("==")
    if version(name).split("+")[0] != want: sys.exit(1)'
# shellcheck disable=SC2086  # the lists are split into words on purpose
if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "$check" $packages $compiled 2>/dev/null; then
    echo "venv.sh: $venv is complete" >&2
    exit 0
fi
if [ ! -x "$venv/bin/pip" ]; then
    mkdir -p "$(dirname "$venv")"
    "$python" -m venv "$venv" || {
        echo "venv.sh: '$python -m venv' failed; on Debian and Ubuntu install python3-venv" >&2
        exit 1
    }
fi
# shellcheck disable=SC2086
"$venv/bin/pip" install --quiet --disable-pip-version-check $packages
if [ -n "$compiled" ]; then
    CMAKE_ARGS="-DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_OPENMP=ON -DGGML_LLAMAFILE=ON -DLLAVA_BUILD=OFF ${CMAKE_ARGS:-}" \
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-binary llama-cpp-python "$compiled"
fi
echo "venv.sh: $venv is ready" >&2
