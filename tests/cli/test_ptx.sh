#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every kernel's NVIDIA form as complete PTX, with the tensor-core instruction where it belongs; where NVIDIA's assembler
# (ptxas) is on PATH it takes all of it, for two generations, and nothing is spilled. `-v` prints what it used per kernel.
set -u
cl=${SEMCAL_SOURCE:?}/cl
builtins=$SEMCAL_SOURCE/tests/cli/nvptx_builtins.h
clang=${CLANG:-clang}
command -v "$clang" >/dev/null || { echo "skipped: clang is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }

heads() { echo "-DHEADS=$1 -DKV_HEADS=$2 -DHEAD=$3"; }

# compile FILE NAME OPTIONS...: $work/NAME.ptx. clang 14 hides vload_half and 64-bit atomics from nvptx64 unless named.
compile() {
  local file=$1 name=$2
  shift 2
  "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target nvptx64 -Xclang -target-cpu -Xclang sm_80 \
    -Xclang -target-feature -Xclang +ptx70 -Xclang -cl-ext=+cl_khr_fp16,+cl_khr_int64_base_atomics -O3 -Wno-pass-failed \
    -include "$builtins" -I "$cl" -D__OPENCL_VERSION__=120 -DSC_GPU=1 -DSC_FP64=1 -DSC_NVIDIA=1 -DVW=4 -DTI=8 \
    "$@" -S -o "$work/$name.ptx" "$file" 2>"$work/log"
}

echo '__kernel void probe(__global float *x) { x[get_global_id(0)] = fma(x[0], x[1], x[2]); }' >"$work/probe.cl"
compile "$work/probe.cl" probe || { echo "skipped: this clang makes no PTX: $(head -n 1 "$work/log")"; exit 77; }

n=0
for file in "$cl"/*.cl; do # work-groups as on NVIDIA's devices, which take 1024 items
  name=$(basename "$file" .cl)
  variants="-DLSZ=256"
  grep -q '^#include "bf16_unit.h"' "$file" && continue # for one kind of processor
  case $name in
    gemm) continue ;; # for CPUs
    rows* | perturb*) variants="-DLSZ=256|-DLSZ=256 -DROWS_TYPE=1|-DLSZ=256 -DROWS_TYPE=2" ;;
    gemm_mma) variants="-DMMA_PANELS=2 -DMMA_ROW_WARPS=4|-DMMA_PANELS=1 -DMMA_ROW_WARPS=2" ;;
    transformer) variants="-DLSZ=256 $(heads 14 2 64)|-DLSZ=256 $(heads 28 4 128)|-DLSZ=256 $(heads 32 32 80)|-DLSZ=256 -DKV_BF16 $(heads 14 2 64)" ;;
    *) grep -q WEIGHT_BF16 "$file" && variants="-DLSZ=256|-DLSZ=256 -DWEIGHT_BF16" ;;
  esac
  IFS='|' read -ra list <<<"$variants"
  for options in "${list[@]}"; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    compile "$file" "$name.$n" $options || fail "$name with $options: $(head -n 3 "$work/log")"
    printf '%s %s\n' "$name" "$options" >"$work/$name.$n.what"
  done
done

for ptx in "$work"/gemm_mma.*.ptx; do
  grep -q 'mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32' "$ptx" && grep -q 'cp.async.cg.shared.global' "$ptx" ||
    fail "gemm_mma.cl: no tensor-core instruction in the PTX"
done

ptxas=${PTXAS:-ptxas}
command -v "$ptxas" >/dev/null || ptxas=
[ -n "$ptxas" ] || echo "ptxas is not on PATH: the PTX was made but not assembled"
for ptx in "$work"/*.[0-9]*.ptx; do
  [ -n "$ptxas" ] || break
  what=$(cat "${ptx%.ptx}.what")
  for arch in sm_80 sm_90; do
    if ! "$ptxas" -v -arch=$arch -o "$work/cubin" "$ptx" >"$work/log" 2>&1; then
      fail "$what: ptxas for $arch: $(grep -m 3 -E 'error|fatal' "$work/log")"
      continue
    fi
    # kernel, registers, bytes of shared memory, of stack, of spills
    awk -v what="$what" -v arch="$arch" '
      /Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
      /bytes stack frame/ { stack = $1; spills = $5 + $9 }
      /Used [0-9]+ registers/ {
        shared = 0
        for (i = 1; i < NF; i++) { if ($i == "Used") registers = $(i + 1); if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i }
        print kernel, arch, registers, shared, stack, spills, what
      }' "$work/log" >>"$work/table"
  done
done
if [ -n "$ptxas" ]; then
  [ -s "$work/table" ] || fail "ptxas told nothing"
  # a few numbers chosen by index (perturb_merge, rows_draw) may lie in up to 64 bytes of local memory
  awk '$5 > 64 || $6 > 0 { print "FAILED: in memory instead of registers: " $0; bad = 1 } END { exit bad }' "$work/table" >&2 ||
    failures=$((failures + 1))
  [ "${1:-}" = -v ] && { echo "kernel target registers shared stack spills file options"; sort "$work/table"; }
  echo "$(wc -l <"$work/table") kernels assembled"
fi

# the test can fail: a call that nothing defines is left in the PTX, and the assembler refuses it
echo 'void nowhere(__global float *x); __kernel void broken(__global float *x) { nowhere(x); }' >"$work/broken.cl"
if compile "$work/broken.cl" broken && [ -n "$ptxas" ] && "$ptxas" -arch=sm_80 -o "$work/cubin" "$work/broken.ptx" 2>/dev/null; then
  fail "a kernel with an undefined function was assembled"
fi
[ "$failures" -eq 0 ] || { echo "$failures of $n variants failed" >&2; exit 1; }
echo "$n variants of all kernels became PTX"
