#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How time and memory of `semcal run` grow: with questions, with draws, and with very many draws of a short law.
#   scripts/bench_growth.sh [BUILD]   ->  results/benchmarks/growth_{questions,draws,many}.csv
# SEMCAL_WRAP: a command in front of every measured run, to keep a shared machine quiet.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
semcal=${1:-$root/build/release}/semcal
[ -x "$semcal" ] || { echo "bench_growth.sh: $semcal is missing: build first" >&2; exit 2; }
python=${PYTHON:-python3}
out=$root/results/benchmarks
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
cd "$work"

# world.jsonl with 64,000 questions: the quickstart's, 64 times under other names (draws are keyed by name)
"$python" - "$root/configs/quickstart/data/world.jsonl" >world.jsonl <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
for copy in range(64):
    for row in rows:
        print(json.dumps(row | {"id": f"{row['id']}-{copy}"}))
PY
sed -e "s|path: quickstart/data/world.jsonl|path: world.jsonl|" -e "s|path: quickstart/|path: $root/configs/quickstart/|" \
  -e '/name: instruct/d' -e '/name: arithmetic/,/collapse: numeric/d' -e '/name: responses/,/classes:/d' -e 's/^styles:.*/styles: [concise]/' \
  -e '/^extra:/,$d' "$root/configs/quickstart.yaml" >model.yaml
for i in 0 1; do
  echo "{\"id\": \"t$i\", \"question\": \"law: alfa=0.6 bravo=0.25 charlie=0.1 delta=0.05 decide=first fillers=2\", \"answer\": \"alfa\"}"
done >toy.jsonl
cat >toy.yaml <<'YAML'
name: many
seed: 1
models: [{name: toy, source: toy}]
datasets: [{name: toy, path: toy.jsonl, id: id, question: question, answers: answer, collapse: choice, choices: [alfa, bravo, charlie, delta]}]
styles: [concise]
style: {concise: {prompt: "{question}", max_tokens: 8, stop: ["\n"], shots: 0}}
YAML

# measure COLUMNS CONFIG [--set ...]: one line of CSV: COLUMNS, seconds, peak memory in MB, tokens drawn, forwards of draws
measure() {
  local columns=$1
  shift
  rm -rf run
  # shellcheck disable=SC2086  # the wrapper is words on purpose
  ${SEMCAL_WRAP:-} "$python" - "$semcal" run "$@" -o run >figures <<'PY'
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr)
print(f"{time.perf_counter() - start:.2f},{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f}")
PY
  "$semcal" show run --json | "$python" -c '
import json, sys
cell = json.load(sys.stdin)["cells"][0]
print("%s,%s,%.0f,%.0f" % (sys.argv[1], sys.argv[2], cell["draw_tokens"], cell["forward_tokens"]))' "$columns" "$(cat figures)"
}

# processor, threads, commit, names of columns
head_lines() {
  "$python" - <<'PY'
flags = {}
for line in open("/proc/cpuinfo", encoding="utf-8"):
    name, _, value = line.partition(":")
    flags.setdefault(name.strip(), value.strip())
wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
print("# processor:", flags.get("model name", "unknown") + ",", " ".join(f for f in wanted if f in flags.get("flags", "").split()))
PY
  echo "# threads: $(nproc)"
  echo "# semcal: $("$semcal" --version | head -n 1)"
  echo "questions,draws,seconds,peak_mb,draw_tokens,forward_tokens"
}

{
  head_lines
  measure 100,50 model.yaml --set datasets.world.limit=100 >/dev/null # kernels built, files read
  for n in 250 500 1000 2000 4000 8000 16000 64000; do
    measure "$n,50" model.yaml --set datasets.world.limit="$n" --set analyze.floor_redraws=0
  done
} | tee "$work/questions.csv"
{
  head_lines
  for m in 10 50 200 1000; do
    measure "250,$m" model.yaml --set datasets.world.limit=250 --set sampling.draws="$m" --set analyze.floor_redraws=0
  done
} | tee "$work/draws.csv"
{
  head_lines
  for m in 1000 10000 100000; do
    measure "2,$m" toy.yaml --set sampling.draws="$m" --set analyze.floor_redraws=0
  done
} | tee "$work/many.csv"
for name in questions draws many; do
  mv "$work/$name.csv" "$out/growth_$name.csv"
done
