#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tuned parameters: found, kept, used, never able to change a draw or to stop a run.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
needs_device
model_data 6 10 '\n'
cell=base.world.concise.T1
export SEMCAL_TUNE=
expect 0 "" "$semcal" run model.yaml -o plain
plain=$(digest plain $cell)
[ ${#plain} -eq 64 ] || complain "no content digest"

# a file for this device, from what the cell says about it
attribute() { h5dump -a "$1" plain/cells/$cell.h5 | sed -n 's/.*(0): "\(.*\)"/\1/p'; }
tune_file() { # NAME PARAMETERS
  printf '{"format": 1, "device": "%s", "driver": "%s", "parameters": {%s}}\n' "$(attribute device)" "$(attribute driver)" "$2" >"$1"
}
tune_file small.json '"gemm_block_tiles": 1, "gemm_items_per_unit": 1, "gemm_skinny_rows": 0, "gemm_compact_rows": 0, "rows_items_per_unit": 1, "rows_pass_mb": 1'
tune_file large.json '"gemm_block_tiles": 64, "gemm_items_per_unit": 512, "gemm_skinny_rows": 128, "gemm_compact_rows": 4, "rows_items_per_unit": 4096, "rows_pass_mb": 512'
for name in small large; do
  SEMCAL_TUNE=$name.json expect 0 "" "$semcal" run model.yaml -o $name
  grep -q "tuned parameters" err.txt && complain "$name.json is refused: $(grep tuned err.txt)"
  [ "$(digest $name $cell)" = "$plain" ] || complain "$name.json changes draws"
done

# what cannot be used is one line, then the defaults
bad() { # NAME TEXT
  SEMCAL_TUNE=$1 expect 0 "$2" "$semcal" run model.yaml -o "bad-$1"
  [ "$(grep -c "tuned parameters are not used" err.txt)" -eq 1 ] || complain "$1: not one line: $(cat err.txt)"
  [ "$(digest "bad-$1" $cell)" = "$plain" ] || complain "$1 changes draws"
}
head -c 60 small.json >cut.json
bad cut.json "cut.json:"
sed 's/"driver": "/&not /' small.json >foreign.json
bad foreign.json "is of"
tune_file range.json '"gemm_block_tiles": 0'
bad range.json "gemm_block_tiles must be from 1 to"
tune_file newer.json '"warp_speed": 9'
bad newer.json "a parameter this version does not know"
bad absent.json "absent.json"

# weights in compact form, which steps of few rows read once 256 of these have come: the same draws, in one go, in shards, after a kill
if grep -qw avx512bw /proc/cpuinfo && [[ $(attribute device) == pthread* || $(attribute device) == cpu* ]]; then
  model_data 60 10 '\n'
  SEMCAL_TUNE= expect 0 "" "$semcal" run model.yaml -o panels --set sampling.draws=50
  panels=$(digest panels $cell)
  [ ${#panels} -eq 64 ] || complain "no content digest of 60 questions"
  tune_file compact.json '"gemm_compact_mb": 0, "gemm_compact_rows": 4'
  export SEMCAL_TUNE=compact.json
  expect 0 "" "$semcal" run model.yaml -o compact --set sampling.draws=50 --set sampling.batch=1 --profile
  grep -q gemm_compact out.txt err.txt || complain "no product read compact weights"
  [ "$(digest compact $cell)" = "$panels" ] || complain "compact weights change draws"
  same_draws compact $cell "$panels" "$semcal" run model.yaml --set sampling.draws=50 --set sampling.batch=1
  export SEMCAL_TUNE=
  model_data 6 10 '\n'
else
  echo "compact weights are left out: they need a CPU with AVX-512 BW"
fi

# finding them
SEMCAL_TUNE=$work/found/tune.json expect 0 "tuned parameters are in" "$semcal" bench tune --rounds 1 --json
"$python" - <<'PY' || complain "bench tune wrote or printed something odd"
import json
found = json.load(open("found/tune.json"))
assert found["format"] == 1 and set(found["parameters"]) >= {"gemm_block_tiles", "rows_items_per_unit", "gemm_clblast_rows", "gemm_compact_rows"}
names = [r["name"] for r in json.load(open("out.txt"))["results"]]
assert any(n.startswith("rows_items_per_unit ") for n in names) and any(n.startswith("clblast m=") for n in names), names
PY
SEMCAL_TUNE=$work/found/tune.json expect 0 "" "$semcal" run model.yaml -o found-run
[ "$(digest found-run $cell)" = "$plain" ] || complain "the file found changes draws"
# without the variable it lies in the cache folder
unset SEMCAL_TUNE
finish
