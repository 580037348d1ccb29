#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# semcal against llama.cpp, Transformers and PyTorch on this machine: makes the Python environment and the checkpoint
# (outside of the repository), measures, prints a table, writes results/benchmarks/peers.csv and job_sharing.csv.
# Options are those of scripts/bench_peers.py run.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${SEMCAL_PEERS_VENV:-$HOME/.cache/semcal/peers}
[ -x build/release/semcal ] || { echo "bench_peers.sh: build/release/semcal is missing; build it first" >&2; exit 2; }
./scripts/venv.sh peers
exec "$venv/bin/python" scripts/bench_peers.py run --folder "${SEMCAL_PEERS_SCRATCH:-$HOME/.cache/semcal/peers-model}" "$@"
