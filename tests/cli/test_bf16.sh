#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# gemm: bf16 in a run: named in the results, other draws than the default's, not to be mixed with it. With each: the same for
# any batch and shard, after a kill, on the portable path.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
needs_device
model_data 6 12 '\n'
cell=base.world.concise.T1
attribute() { h5dump -a "$2" "$1/cells/$cell.h5" | sed -n 's/.*(0): "\(.*\)"/\1/p'; }
expect 0 "" "$semcal" run model.yaml -o exact
expect 0 "" "$semcal" run model.yaml -o rounded --set models.base.gemm=bf16
[ "$(attribute exact gemm)" = own ] || complain "gemm of the default is '$(attribute exact gemm)'"
[ "$(attribute rounded gemm)" = bf16 ] || complain "gemm is '$(attribute rounded gemm)'"
[ "$(attribute rounded bit_invariant)" = yes ] || complain "bf16 is not bit-invariant"
[ "$(attribute rounded kernels_sha256)" != "$(attribute exact kernels_sha256)" ] || complain "the same kernels"
grep -q "gemm: bf16" rounded/resolved.yaml || complain "the resolved configuration does not say gemm: bf16"
"$semcal" show rounded/cells/$cell.h5 | grep -q '^ *gemm: bf16' || complain "show does not name the mode"
exact=$(digest exact $cell) rounded=$(digest rounded $cell)
if [ ${#exact} -ne 64 ] || [ "$exact" = "$rounded" ]; then complain "the digests are '$exact' and '$rounded'"; fi

# fewer rows at once, shards, the portable path: the same draws
weights=$(h5dump -a model_weight_bytes rounded/cells/$cell.h5 | sed -n 's/.*(0): "\(.*\)"/\1/p')
expect 0 "" env SEMCAL_DEVICE_MEMORY=$((weights + 1000000)) "$semcal" run model.yaml -o small --set models.base.gemm=bf16
[ "$(digest small $cell)" = "$rounded" ] || complain "little memory changes draws"
expect 0 "gemm_bf16_plain is used" env SEMCAL_SELFTEST_FAIL=gemm_bf16 "$semcal" run model.yaml -o plain --set models.base.gemm=bf16
[ "$(digest plain $cell)" = "$rounded" ] || complain "the portable path changes draws"
told=
grep -qw avx512_bf16 /proc/cpuinfo && told="attention is used" # elsewhere it is what runs anyway
expect 0 "$told" env SEMCAL_SELFTEST_FAIL=attention_bf16 "$semcal" run model.yaml -o imitated --set models.base.gemm=bf16
[ "$(digest imitated $cell)" = "$rounded" ] || complain "attention without the processor's products changes draws"
expect 0 "attention_plain is used" env SEMCAL_SELFTEST_FAIL=attention "$semcal" run model.yaml -o polynomial
[ "$(attribute polynomial kernels_sha256)" != "$(attribute exact kernels_sha256)" ] || complain "attention_plain is the same kernel"
# a wrong number in the table of powers is found, not only what is told to fail
mkdir damaged
sed 's/0x3f7daac3/0x3f7eaac3/' "$SEMCAL_SOURCE/cl/softmax.h" >damaged/softmax.h
cmp -s damaged/softmax.h "$SEMCAL_SOURCE/cl/softmax.h" && complain "the table was not damaged"
if grep -qw avx512f /proc/cpuinfo; then
  expect 0 "the self-test of attention failed" env SEMCAL_CL_DIR="$PWD/damaged" "$semcal" run model.yaml -o wrong
fi
# with either arithmetic and with the portable attention
same_draws rounded $cell "$rounded" "$semcal" run model.yaml --set models.base.gemm=bf16
same_draws exact $cell "$exact" "$semcal" run model.yaml
same_draws polynomial $cell "$(digest polynomial $cell)" env SEMCAL_SELFTEST_FAIL=attention "$semcal" run model.yaml

# half of one definition and half of the other are no run
expect 0 "" "$semcal" run model.yaml -o mixed --shard 1/2
expect 2 "" "$semcal" run model.yaml -o mixed --shard 2/2 --set models.base.gemm=bf16
finish
