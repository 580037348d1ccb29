# SPDX-License-Identifier: Apache-2.0
# What the tests of whole runs share: a folder of their own, a toy configuration, checks that say what went wrong.
set -u
semcal=${SEMCAL:?}
python=${SEMCAL_PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

complain() { echo "FAILED: $1" >&2; failures=$((failures + 1)); }

# expect CODE TEXT COMMAND...: the command exits with CODE and its stderr contains TEXT.
expect() {
  local code=$1 text=$2
  shift 2
  "$@" >out.txt 2>err.txt
  local got=$?
  [ "$got" -eq "$code" ] || complain "'$*' exited with $got, expected $code: $(tail -n 2 err.txt)"
  [ -z "$text" ] || grep -qF -- "$text" err.txt || complain "'$*' did not say '$text': $(tail -n 2 err.txt)"
}

# digest RUN CELL: the content digest of a finished cell.
digest() { h5dump -a content_sha256 "$1/cells/$2.h5" 2>/dev/null | sed -n 's/.*(0): "\(.*\)"/\1/p'; }

# toy_data N [FILLERS]: N questions whose laws are written in them and whose references follow these laws.
toy_data() {
  "$python" - "$1" "${2:-2}" <<'PY' >toy.jsonl
import json, random, sys
n, fillers = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(7)
words = ["alfa", "bravo", "charlie", "delta"]
for i in range(n):
    weights = [rng.gammavariate(.7, 1) + 1e-3 for _ in words]
    total = sum(weights)
    law = {w: x / total for w, x in zip(words, weights)}
    answer = rng.choices(words, weights)[0]
    text = " ".join(f"{w}={law[w]!r}" for w in words)
    decide = "first" if i % 2 else "last"
    print(json.dumps({"id": f"t{i}", "question": f"law: {text} decide={decide} fillers={fillers}", "answer": answer,
                      "law": law}))
PY
  cat >toy.yaml <<'YAML'
name: toy
seed: 3
models: [{name: t, source: toy}]
datasets:
  - {name: d, path: toy.jsonl, question: question, answers: answer, id: id, law: law, collapse: choice,
     choices: [alfa, bravo, charlie, delta]}
styles: [plain]
style: {plain: {prompt: "{question}\n", max_tokens: 12, stop: ["\n"]}}
sampling: {draws: 20}
store: {commit_seconds: 0.2}
YAML
}

# needs_device: skips the test where there is no OpenCL device or no h5dump.
needs_device() {
  command -v h5dump >/dev/null || { echo "skipped: h5dump is not installed"; exit 77; }
  "$semcal" show devices 2>/dev/null | grep -q . || { echo "skipped: no OpenCL device"; exit 77; }
}

# model_data N MAX_TOKENS STOP: N questions for the quickstart's base model; the cell is base.world.concise.T1.
model_data() {
  head -n "$1" "$SEMCAL_SOURCE/configs/quickstart/data/world.jsonl" >world.jsonl
  cat >model.yaml <<YAML
name: m
seed: 2
models: [{name: base, path: $SEMCAL_SOURCE/configs/quickstart/models/base, kind: base}]
datasets: [{name: world, path: world.jsonl, id: id, question: question, answers: answers, collapse: exact}]
styles: [concise]
style: {concise: {prompt: "Q: {question}\nShort answer:", max_tokens: $2, stop: ["$3"]}}
sampling: {draws: 20}
YAML
}

# same_draws NAME CELL DIGEST COMMAND...: the run that the command makes (without -o) has this content also when it is killed and
# begun again, in two shards, and prefix by prefix.
same_draws() {
  local name=$1 cell=$2 wanted=$3 pause pid code=0
  shift 3
  for pause in 0.8 0.4 0.2 0.1 0.05; do # until it is killed before it is through
    rm -rf "$name.killed"
    "$@" -o "$name.killed" >/dev/null 2>&1 &
    pid=$!
    sleep $pause
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null # until it is gone, and its lock with it
    code=$?
    [ $code -ne 137 ] || break
  done
  [ $code -eq 137 ] || complain "$name: no kill came in time"
  expect 0 "" "$@" -o "$name.killed"
  [ "$(digest "$name.killed" "$cell")" = "$wanted" ] || complain "$name: a kill changes draws"
  for shard in 1/2 2/2; do expect 0 "" "$@" -o "$name.shards" --shard $shard; done
  expect 0 "" "$semcal" merge "$name.shards"
  [ "$(digest "$name.shards" "$cell")" = "$wanted" ] || complain "$name: shards change draws"
  expect 0 "" "$@" -o "$name.alone" --set sampling.batch=1
  [ "$(digest "$name.alone" "$cell")" = "$wanted" ] || complain "$name: prefixes one by one change draws"
}

finish() {
  [ "$failures" -eq 0 ] || { echo "$failures check(s) failed" >&2; exit 1; }
  echo "all checks passed"
}
