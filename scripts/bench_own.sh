#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What semcal's own benchmarks say against ceilings measured beside them: row kernels, decoding steps, attention's share
# of a step over a long prompt, prefill.
#   scripts/bench_own.sh [BUILD]   ->  results/benchmarks/own.csv
# SEMCAL_WRAP: a command in front of every measured run, to keep a shared machine quiet.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
semcal=${1:-$root/build/release}/semcal
[ -x "$semcal" ] || { echo "bench_own.sh: $semcal is missing: build first" >&2; exit 2; }
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

n=0
bench() { # arguments of semcal bench
  echo "semcal bench $*" >&2
  # shellcheck disable=SC2086  # the wrapper is words on purpose
  ${SEMCAL_WRAP:-} "$semcal" bench "$@" --json >"$work/$(printf %02d $n).json"
  echo "semcal bench $*" >"$work/$(printf %02d $n).command"
  n=$((n + 1))
}

bench kernels --only rows --rounds 9
for gemm in auto bf16; do
  bench decode --rounds 7 --gemm $gemm
  for _ in 1 2 3; do bench decode --live 50 --prompt 2048 --rounds 21 --gemm $gemm; done
  bench prefill --only prefill --prompt 256 --rounds 5 --gemm $gemm
done

"$python" - "$work" >"$work/own.csv" <<'PY'
import csv, json, pathlib, sys
flags = {}
for line in open("/proc/cpuinfo", encoding="utf-8"):
    name, _, value = line.partition(":")
    flags.setdefault(name.strip(), value.strip())
wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
names = ("name", "median_s", "best_s", "rate", "unit", "ratio", "ratio_low", "ratio_high", "relative_to")
files = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
first = json.loads(files[0].read_text())
print("# processor:", flags.get("model name", "unknown") + ",", " ".join(f for f in wanted if f in flags.get("flags", "").split()))
print(f"# device: {first['device']}, driver {first['driver']}")
print(f"# semcal: {first['version']} ({first['commit']})")
writer = csv.writer(sys.stdout, lineterminator="\n")
writer.writerow(("command",) + names)
for file in files:
    command = file.with_suffix(".command").read_text().strip()
    for row in json.loads(file.read_text())["results"]:
        writer.writerow([command] + ["" if row[name] is None else row[name] for name in names])
PY
mv "$work/own.csv" "$root/results/benchmarks/own.csv"
"$python" - "$root/results/benchmarks/own.csv" <<'PY'
import csv, sys
for row in csv.DictReader(line for line in open(sys.argv[1], encoding="utf-8") if not line.startswith("#")):
    if row["ratio"]:
        print(f"{row['command'].removeprefix('semcal bench '):56} {row['name']:44} {float(row['ratio']):7.3f}  of {row['relative_to']}")
PY
