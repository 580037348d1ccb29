#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every kernel's GPU form compiles with clang's OpenCL front end, down to code for two GPU targets, on machines without one.
set -u
cl=${SEMCAL_SOURCE:?}/cl
clang=${CLANG:-clang}
command -v "$clang" >/dev/null || { echo "skipped: clang is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
echo '__kernel void probe(__global float *x) { x[get_global_id(0)] = exp(x[0]); }' >"$work/probe.cl"
targets=
for target in spir64 nvptx64; do
  if "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target $target -S -emit-llvm -o /dev/null "$work/probe.cl" 2>"$work/log"; then
    targets="$targets $target"
  else
    echo "this clang has no OpenCL for $target: $(head -n 1 "$work/log")"
  fi
done
[ -n "$targets" ] || { echo "skipped: this clang compiles no OpenCL"; exit 77; }

n=0
for file in "$cl"/*.cl; do
  name=$(basename "$file")
  types="0"
  grep -q ROWS_TYPE "$file" "$cl"/rows_weight.h "$cl"/rows_block.h && case $name in rows*|perturb*) types="0 1 2" ;; esac
  weights="none"
  grep -q WEIGHT_BF16 "$file" && weights="none WEIGHT_BF16"
  grep -q KV_BF16 "$file" && weights="none KV_BF16=1"
  grep -q '^#include "bf16_unit.h"' "$file" && continue # for one kind of processor, below
  for target in $targets; do
    for lsz in 64 256; do
      for type in $types; do
        for weight in $weights; do
          options="-D__OPENCL_VERSION__=120 -DSC_GPU=1 -DSC_FP64=1 -DLSZ=$lsz -DVW=4 -DTI=8 -DROWS_TYPE=$type -DHEADS=14 -DKV_HEADS=2 -DHEAD=64"
          [ $weight = none ] || options="$options -D$weight"
          # clang 14 hides vload_half and 64-bit atomics from nvptx64 unless named; NVIDIA's own compiler has them
          [ $target = nvptx64 ] && options="$options -DSC_NVIDIA=1 -Xclang -cl-ext=+cl_khr_fp16,+cl_khr_int64_base_atomics"
          # tensor cores' instructions are NVIDIA's; elsewhere their emulation compiles
          [ "$target $name" = "spir64 gemm_mma.cl" ] && options="$options -DSC_MMA_EMULATE"
          # nvptx64 goes down to PTX, whose assembler text the back end must accept; spir64 stops at LLVM's own form
          output="-S -emit-llvm"
          # shellcheck disable=SC2086
          if ! "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target $target -O1 $output -I "$cl" $options \
               -o "$work/out" "$file" 2>"$work/log"; then
            echo "FAILED: $name for $target with $options:" >&2
            head -n 5 "$work/log" >&2
            failures=$((failures + 1))
          fi
          n=$((n + 1))
        done
      done
    done
  done
done

# kernels with instructions of a processor: down to its code, which must have them, whatever processor it is compiled for
if "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target x86_64 -S -o /dev/null "$work/probe.cl" 2>/dev/null; then
  options="-x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target x86_64 -O2 -D__OPENCL_VERSION__=120 -DSC_CPU=1 -DLSZ=1"
  for processor in x86-64 skylake-avx512 cooperlake; do
    while read -r file instruction option; do
      # attention's helpers pass vectors of AVX-512
      [ "$processor $file" = "x86-64 transformer.cl" ] && continue
      # shellcheck disable=SC2086
      if ! "$clang" $options $option -march=$processor -S -I "$cl" -o "$work/out" "$cl/$file" 2>"$work/log"; then
        echo "FAILED: $file $option for $processor:" >&2
        head -n 5 "$work/log" >&2
        failures=$((failures + 1))
      elif ! grep -q "$instruction.*zmm" "$work/out"; then
        echo "FAILED: $file $option for $processor has no $instruction" >&2
        failures=$((failures + 1))
      fi
      n=$((n + 1))
    done <<'EOK'
gemm_bf16.cl vdpbf16ps
gemm_compact.cl vpshufb
gemm_compact.cl vpshufb -DPAIRS
gemm_compact.cl vdpbf16ps -DPAIRS
transformer.cl vdpbf16ps -DKV_BF16=2 -DHEADS=14 -DKV_HEADS=2 -DHEAD=64
transformer.cl vcvtneps2bf16 -DKV_BF16=2 -DHEADS=16 -DKV_HEADS=2 -DHEAD=128
EOK
  done
fi

# the test can fail
echo '__kernel void broken(__global float *x) { x[0] = undeclared; }' >"$work/broken.cl"
"$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target ${targets##* } -S -emit-llvm -o /dev/null "$work/broken.cl" 2>/dev/null &&
  { echo "FAILED: a broken kernel compiles" >&2; failures=$((failures + 1)); }
[ "$failures" -eq 0 ] || { echo "$failures of $n variants failed" >&2; exit 1; }
echo "$n variants compiled for$targets"
