#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, runs the test suite. --all adds the tests labelled slow.
set -euo pipefail
cd "$(dirname "$0")/.."

exclude=(-LE slow)
for argument in "$@"; do
  case "$argument" in
    --all) exclude=() ;;
    -h|--help) echo "usage: scripts/test.sh [--all]"; exit 0 ;;
    *) echo "test.sh: unknown option '$argument'; usage: scripts/test.sh [--all]" >&2; exit 2 ;;
  esac
done

./scripts/install.sh
cmake --preset release -G Ninja >/dev/null
cmake --build build/release
ctest --test-dir build/release --output-on-failure "${exclude[@]}"
