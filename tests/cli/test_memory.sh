#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Little device memory means fewer nodes at once and the same draws; only a single prefix that does not fit is refused.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
needs_device
model_data 4 24 never
cell=base.world.concise.T1
expect 0 "" "$semcal" run model.yaml -o whole
whole=$(digest whole $cell)
[ ${#whole} -eq 64 ] || complain "no content digest"
weights=$(h5dump -a model_weight_bytes whole/cells/$cell.h5 | sed -n 's/.*(0): "\(.*\)"/\1/p')

# memory behind the weights, from plenty to hardly any; the smallest that works must be small indeed
fits=
for spare in 20000000 2000000 1000000 500000 350000 150000; do
  SEMCAL_DEVICE_MEMORY=$((weights + spare)) "$semcal" run model.yaml -o m$spare >out.txt 2>err.txt
  code=$?
  if [ $code -eq 0 ]; then
    fits=$spare
    [ "$(digest m$spare $cell)" = "$whole" ] || complain "$spare bytes behind the weights: other draws"
  else
    [ $code -eq 4 ] || complain "$spare bytes behind the weights: exit $code"
    grep -q "out of device memory" err.txt || complain "$spare bytes behind the weights: $(tail -n 2 err.txt)"
  fi
done
[ -n "$fits" ] && [ "$fits" -le 2000000 ] || complain "nothing below 2 MB behind the weights works (least: $fits)"
echo "least memory behind the weights that worked: $fits bytes"

# pages for a few prefixes only: others wait as paths
for kv in 400k 140k; do
  expect 0 "" "$semcal" run model.yaml -o kv$kv --set models.base.kv_memory=$kv
  [ "$(digest kv$kv $cell)" = "$whole" ] || complain "kv_memory=$kv changes draws"
done
expect 4 "out of device memory: one prefix of" "$semcal" run model.yaml -o none --set models.base.kv_memory=70k
expect 4 "out of device memory" env SEMCAL_DEVICE_MEMORY=100000 "$semcal" run model.yaml -o less

# a fast path that fails its self-test is named, and the run goes on
expect 0 "warning: " env SEMCAL_SELFTEST_FAIL=gemm_packed,gemm_tiled,rows "$semcal" run model.yaml -o slow
grep -q "the self-test of gemm_[a-z]* failed" err.txt || complain "the failed product is not named: $(cat err.txt)"
grep -q "the self-test of rows failed" err.txt || complain "the failed row kernels are not named"
grep -q '"event": "device_note"' slow/log.jsonl || complain "the log has no note"
"$python" - whole/cells/$cell.h5 slow/cells/$cell.h5 <<'PY'
import sys
try:
    import h5py, numpy
except ImportError:
    sys.exit(0)
a, b = (h5py.File(f) for f in sys.argv[1:])
for name in ("node_token", "node_logprob", "draw_node", "draw_logprob"):
    if name in a:
        assert numpy.array_equal(a[name][:], b[name][:], equal_nan=name.endswith("logprob")), name
assert "node_logprob" in a
PY
[ $? -eq 0 ] || complain "the slow paths give other draws"
finish
