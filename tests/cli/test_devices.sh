#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# show devices and bench kernels: what they print, and how they refuse.
set -uo pipefail

failed=0
fail() {
  echo "FAILED: $*" >&2
  failed=1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export SEMCAL_CACHE_DIR=$folder/cache

"$SEMCAL" show devices >"$folder/text" || fail "show devices gave $?"
grep -q '^0:0 ' "$folder/text" || fail "no device 0:0 in: $(cat "$folder/text")"
grep -q 'largest buffer' "$folder/text" || fail "no property 'largest buffer'"
"$SEMCAL" show devices --json >"$folder/json" || fail "show devices --json gave $?"
python3 - "$folder/json" <<'PYTHON' || fail "show devices --json"
import json, sys
devices = json.load(open(sys.argv[1]))
assert sum(d["default"] for d in devices) == 1
for d in devices:
    assert d["name"] and d["driver"] and d["type"] in ("cpu", "gpu", "other")
    assert 0 < d["max_allocation"] <= d["global_memory"] and d["compute_units"] >= 1
PYTHON

"$SEMCAL" bench kernels --only rows --json --rounds 3 --rows 64 --vocabulary 20000 >"$folder/bench" || fail "bench gave $?"
python3 - "$folder/bench" <<'PYTHON' || fail "bench kernels --json: $(cat "$folder/bench")"
import json, sys
results = {r["name"]: r for r in json.load(open(sys.argv[1]))["results"]}
loss = results["rows: log-loss"]
assert loss["ratio"] > 0.05 and loss["median_s"] >= loss["best_s"] > 0 and loss["unit"] == "GB/s"
assert results["rows: 50 draws, time on top"]["rate"] is None
PYTHON

# refuses CODE TEXT COMMAND...: exit code, one line on stderr with TEXT, nothing on stdout.
refuses() {
  local code=$1 text=$2
  shift 2
  "$@" >"$folder/out" 2>"$folder/err"
  local got=$?
  [ "$got" -eq "$code" ] || fail "$* gave $got, not $code: $(cat "$folder/err")"
  grep -qF -- "$text" "$folder/err" || fail "$*: no '$text' in: $(cat "$folder/err")"
  [ ! -s "$folder/out" ] || fail "$* printed on stdout"
}
refuses 2 "cannot measure 'kernel'" "$SEMCAL" bench kernel
refuses 2 "no such suite" "$SEMCAL" bench kernels --only row
refuses 2 "rounds 1 to" "$SEMCAL" bench kernels --rounds 0
refuses 4 "no OpenCL device 'voodoo'; there is 0:0 " "$SEMCAL" bench kernels --device voodoo
refuses 4 "no OpenCL device '7:7'; there is 0:0 " "$SEMCAL" bench kernels --device 7:7
refuses 4 "out of device memory for logits" env SEMCAL_DEVICE_MEMORY=1M "$SEMCAL" bench kernels
refuses 2 "SEMCAL_DEVICE_MEMORY: 'lots'" env SEMCAL_DEVICE_MEMORY=lots "$SEMCAL" bench kernels
OCL_ICD_VENDORS=$folder/none "$SEMCAL" bench kernels --rows 2 >"$folder/out" 2>"$folder/err"
[ $? -eq 4 ] || fail "bench without a driver gave another code: $(cat "$folder/err")"
grep -q "no OpenCL device on this machine" "$folder/err" || fail "without a driver: $(cat "$folder/err")"

mkdir "$folder/cl"
sed 's/rows_merge(/rows_merge( oops/' "$SEMCAL_SOURCE/cl/rows.cl" >"$folder/cl/rows.cl"
refuses 4 "build log in $folder/cache/" env SEMCAL_CL_DIR="$folder/cl" "$SEMCAL" bench kernels --rows 2
# The driver's compiler may write its own count of errors beside it.
[ "$(grep -vc 'errors\? generated' "$folder/err")" -eq 1 ] || fail "the message is not one line: $(cat "$folder/err")"
grep -q "oops" "$folder"/cache/*.log || fail "the log does not show the error"
exit $failed
