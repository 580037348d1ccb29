#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone to a table: installs what is missing, builds build/release, runs configs/quickstart.yaml on the best
# OpenCL device (PoCL on the CPU when there is no GPU), analyses it and says where everything is.
#   scripts/quickstart.sh [-o DIR]     DIR: the run folder, default build/quickstart
set -euo pipefail
cd "$(dirname "$0")/.."

run=build/quickstart
while [ $# -gt 0 ]; do
  case "$1" in
    -o) run=${2:?"-o needs a folder"}; shift 2 ;;
    -h|--help) sed -n '3,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart.sh: unknown option '$1'; usage: scripts/quickstart.sh [-o DIR]" >&2; exit 2 ;;
  esac
done

./scripts/install.sh
cmake --preset release -G Ninja >/dev/null
cmake --build build/release --target semcal_program
semcal=build/release/semcal

# Exit 1 means that some cells failed (they are listed): what is finished is analysed all the same.
code=0
"$semcal" run configs/quickstart.yaml -o "$run" || code=$?
[ "$code" -le 1 ] || exit "$code"
"$semcal" analyze "$run"
"$semcal" report "$run" || echo "quickstart.sh: no report was made" >&2
exit "$code"
