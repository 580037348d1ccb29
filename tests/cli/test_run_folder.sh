#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verify, merge and show on a run folder; what they say about damage; exit codes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$SEMCAL_BUILD/tests/unit_test_store_products" "$folder/run"
cell=$folder/run/cells/c.h5

# expect CODE TEXT COMMAND...: the exit code, and TEXT somewhere in what is printed
expect() {
  local code=$1 text=$2 out status=0
  shift 2
  out=$("$@" 2>&1) || status=$?
  if [ "$status" -ne "$code" ] || ! grep -qF -- "$text" <<<"$out"; then
    printf 'expected exit %s with "%s" from: %s\ngot exit %s:\n%s\n' "$code" "$text" "$*" "$status" "$out" >&2
    exit 1
  fi
}

expect 0 "c.h5: ok, 30 questions, 520 nodes, 2 collapses" "$SEMCAL" verify "$folder/run"
expect 0 "no shards to merge" "$SEMCAL" merge "$folder/run"
expect 0 "seal intact" "$SEMCAL" show "$cell"
expect 0 "draw_logprob             float64  (question, draw)  log-probability of the whole response" "$SEMCAL" show "$cell"
"$SEMCAL" show "$cell" --json | python3 -c '
import json, sys
shown = json.load(sys.stdin)
assert shown["dimensions"]["node"] == 520 and shown["sealed"] is True
assert shown["attributes"]["format"] == "semcal-cell"
leaf = [v for v in shown["variables"] if v["name"] == "draw_leaf"][0]
assert leaf["dims"] == ["question", "draw"] and leaf["shape"] == [30, 6], leaf
assert set(shown["groups"]["collapse"]["groups"]) == {"exact", "numeric"}'

expect 3 "cells: cannot list" "$SEMCAL" verify "$folder/nothing"
expect 3 "no such file" "$SEMCAL" show "$folder/nothing.h5"
expect 2 "too few operands" "$SEMCAL" verify
expect 2 "did you mean '--help'" "$SEMCAL" merge "$folder/run" --halp

# The plan names cells that are not there.
cat > "$folder/run/resolved.yaml" <<YAML
name: t
models: [{name: m, source: toy}]
datasets: [{name: d, path: d.jsonl, collapse: exact}]
styles: [concise]
YAML
expect 3 "m.d.concise.T1: not begun" "$SEMCAL" verify "$folder/run"
rm "$folder/run/resolved.yaml"

# One changed byte in the middle, a file cut off, one that never was a cell.
cp "$cell" "$folder/good"
size=$(stat -c %s "$cell")
byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$cell")
printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$cell" bs=1 seek=$((size / 2)) conv=notrunc status=none
expect 3 "BAD  $cell: does not match its sha256" "$SEMCAL" verify "$folder/run"
expect 3 "does not match its sha256" "$SEMCAL" show "$cell"
head -c $((size / 2)) "$folder/good" > "$cell"
expect 3 "its seal is missing" "$SEMCAL" verify "$folder/run"
echo "no HDF5" > "$cell"
expect 3 "its seal is missing" "$SEMCAL" verify "$folder/run"
expect 3 "cannot open as HDF5" "$SEMCAL" show "$cell"
cp "$folder/good" "$cell"
mv "$cell" "$folder/run/cells/other.h5"
expect 3 "holds the cell 'c'" "$SEMCAL" verify "$folder/run"
