#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Python environment of the training scripts and the cross-checks, outside the repository:
# ${SEMCAL_VENV:-$HOME/.cache/semcal/venv}.  Safe to run again.  The C program needs none of it.
set -eu
venv=${SEMCAL_VENV:-$HOME/.cache/semcal/venv}
python=${PYTHON:-python3}
packages='torch==2.15.0 transformers==5.23.0 tokenizers==0.23.3 safetensors==0.8.0
numpy==2.4.6 scipy==1.17.1 relplot==1.0.3 h5py==3.16.0 xarray==2026.9.0 h5netcdf==1.8.2'

check='import sys
from importlib.metadata import version
for p in sys.argv[1:]:
    name, want = p.split("==")
    if version(name).split("+")[0] != want: sys.exit(1)'
# shellcheck disable=SC2086  # the list is split into words on purpose
if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "$check" $packages 2>/dev/null; then
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
echo "venv.sh: $venv is ready" >&2
