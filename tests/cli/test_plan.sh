#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `semcal plan` and `semcal show config`: golden output, one-line errors, exit codes.
# SEMCAL_GOLDEN=update rewrites the golden files; look at the difference before committing it.
set -u
: "${SEMCAL:?}" "${SEMCAL_SOURCE:?}"
golden="$SEMCAL_SOURCE/tests/cli/golden"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$SEMCAL_SOURCE/tests/fixtures/config" || exit 1
failures=0
complain() { echo "plan: $1" >&2; failures=$((failures + 1)); }

# matches NAME < output: as the golden file says
matches() {
  cat > "$work/$1"
  if [ "${SEMCAL_GOLDEN:-}" = update ]; then cp "$work/$1" "$golden/$1"; fi
  diff -u "$golden/$1" "$work/$1" >&2 || complain "output differs from golden/$1"
}

# fails CODE MESSAGE ARGUMENT...: that exit code, nothing on stdout, exactly that line on stderr
fails() {
  local code=$1 message=$2; shift 2
  "$SEMCAL" "$@" > "$work/out" 2> "$work/err"
  local got=$?
  [ "$got" -eq "$code" ] || complain "semcal $*: exit $got, expected $code"
  [ ! -s "$work/out" ] || complain "semcal $*: printed on stdout"
  printf '%s\n' "$message" > "$work/want"
  diff -u "$work/want" "$work/err" >&2 || complain "semcal $*: another message"
}

# The column of times guesses time from this machine's cores: not golden.
"$SEMCAL" plan plan.yaml 2> "$work/notes" | sed -E 's/ +(~time|[0-9]+:[0-9]{2})(  longer.*)?$/\2/' | matches plan.txt
grep -q '^device memory:' "$work/notes" || complain "no assumptions on stderr"
"$SEMCAL" plan plan.yaml --json --set sampling.draws=3 --set styles=cot --set "datasets.names.styles=[]" > "$work/plan.json" || complain "--json failed"
grep -c '"draws": 3,' "$work/plan.json" | grep -qx 4 || complain "--set did not reach every cell"
"$SEMCAL" show config | matches show_config.txt
"$SEMCAL" show config --json > "$work/keys.json" || complain "show config --json failed"
n_json=$(grep -c '"key":' "$work/keys.json")
[ "$n_json" -gt 60 ] || complain "only $n_json keys"
"$SEMCAL" plan --help | grep -q -- '--set KEY=VALUE' || complain "--help does not show --set"

sed 's/draws: 10/drawz: 10/' plan.yaml > "$work/typo.yaml"
fails 2 "semcal plan: $work/typo.yaml:13:12: sampling.drawz: unknown key, did you mean 'draws'?" plan "$work/typo.yaml"
fails 2 "semcal plan: --set sampling.draws: must be >= 1, got -1" plan plan.yaml --set sampling.draws=-1
fails 2 "semcal plan: unknown option '--jsn', did you mean '--json'?" plan plan.yaml --jsn
fails 2 "semcal plan: too few operands; usage: semcal plan CONFIG" plan
fails 2 "semcal show: 'confg' is no file, did you mean 'config'?" show confg
fails 3 "semcal plan: nowhere.yaml: cannot open: No such file or directory" plan nowhere.yaml
fails 3 "semcal plan: dataset 'sums': $PWD/none.jsonl: cannot open: No such file or directory" \
  plan plan.yaml --set datasets.sums.path=none.jsonl
fails 3 "semcal plan: dataset 'sums': $PWD/questions.jsonl:1: field 'prompt' missing; fields here: id, question, answers" \
  plan plan.yaml --set datasets.sums.question=prompt
fails 3 "semcal plan: dataset 'sums': $PWD/shots.csv: 2 rows, but shots.n is 3" \
  plan plan.yaml --set datasets.sums.shots.n=3
fails 3 "semcal plan: model 'qwen': $PWD/nothing/config.json: cannot open: No such file or directory" \
  plan plan.yaml --set models.qwen.path=nothing
: > "$work/empty.jsonl"
fails 3 "semcal plan: dataset 'sums': $work/empty.jsonl: no rows, a dataset needs at least one question" \
  plan plan.yaml --set "datasets.sums.path=$work/empty.jsonl"
fails 2 "semcal plan: plan.yaml: extra[0]: two cells are called 'llama.sums.cot.T1': extra repeats a cell that is already planned" \
  plan plan.yaml --set extra[0].temperature=1

# With a tokenizer the tokens of a prompt are counted: as `semcal tokenize` counts them.
model="$SEMCAL_SOURCE/configs/quickstart/models/base"
printf '{"question": "Who?", "answers": "Ann"}\n' > "$work/one.jsonl"
printf '%s\n' 'name: one' "models: [{name: m, path: $model}]" 'datasets: [{name: d, path: one.jsonl, shots: {path: one.jsonl, n: 1}}]' \
  'styles: [s]' 'style: {s: {prompt: "Q: {question} A:", shot: "{question} {answer}", separator: " | "}}' > "$work/one.yaml"
counted=$("$SEMCAL" plan "$work/one.yaml" --json | sed -nE 's/.*"prompt_tokens": ([0-9]+)\.0.*/\1/p')
ids=$(echo 'Who? Ann | Q: Who? A:' | "$SEMCAL" tokenize "$model" --special | wc -w)
[ -n "$counted" ] && [ "$counted" = "$ids" ] || complain "plan counts '$counted' tokens, tokenize $ids"

# Every configuration of the repository is one: it parses, and its cells are named.
for config in "$SEMCAL_SOURCE"/configs/*.yaml; do
  "$SEMCAL" plan "$config" > "$work/out" 2> "$work/err"
  code=$?
  [ "$code" -eq 0 ] || { [ "$code" -eq 3 ] && grep -q 'cannot open' "$work/err"; } || complain "$config: $(cat "$work/err")"
done

[ "$failures" -eq 0 ] || { echo "plan: $failures failure(s)" >&2; exit 1; }
echo "plan: $n_json keys"
