#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An error of a run says which cell, which question, and where in it, whatever the laws come from; once each.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
"$python" -c 'import numpy' 2>/dev/null || { echo "skipped: $python has no numpy"; exit 77; }

# one RUN CODE TEXT...: the run ends with CODE and one line has all of TEXT in this order, each once
one() {
  local name=$1 code=$2 line
  shift 2
  "$semcal" run "$name.yaml" -o "$name" >out.txt 2>err.txt
  local got=$?
  [ "$got" -eq "$code" ] || complain "$name: exit $got: $(tail -n 1 err.txt)"
  line=$(grep -F "failed: " err.txt | head -n 1)
  for text in "$@"; do
    [ "$(grep -oF -- "$text" <<<"$line" | wc -l)" -eq 1 ] || complain "$name does not say '$text' once: $line"
  done
}

# toy laws that cannot be read
toy_data 5
sed 's/t3/odd one/; /odd one/s/alfa=[0-9.e-]*/alfa=many/' toy.jsonl >bad.jsonl
sed 's/toy.jsonl/bad.jsonl/; s/name: toy/name: bad/' toy.yaml >bad.yaml
one bad 3 "cell t.d.plain.T1" "question 'odd one'" "alfa"
for estimator in exact hybrid chain; do
  sed "s/draws: 20/draws: 20, estimator: $estimator/" bad.yaml >bad_$estimator.yaml
  one bad_$estimator 3 "cell t.d.plain" "question 'odd one'" "alfa"
done

# recorded logits
"$python" - <<'PY'
import json, numpy
rng = numpy.random.default_rng(2)
logits = rng.normal(size=(8, 30)).astype("f4")
logits[5, 17] = numpy.nan
numpy.save("logits.npy", logits)
with open("rows.jsonl", "w") as f:
    for i in range(8):
        f.write(json.dumps({"id": f"q{i}", "question": str(i), "answer": "1"}) + "\n")
PY
cat >recorded.yaml <<'YAML'
name: recorded
models: [{name: r, source: recorded, logits: logits.npy}]
datasets: [{name: d, path: rows.jsonl, question: question, answers: answer, id: id, collapse: exact}]
styles: [token]
style: {token: {prompt: "{question}", max_tokens: 1}}
sampling: {draws: 3}
YAML
one recorded 5 "cell r.d.token.T1" "question 'q5'" "row 5" "token 17 is NaN"
grep -q "row 0" err.txt && complain "recorded: speaks of a row of a batch: $(grep 'row 0' err.txt)"

# a model whose last layer leaves the range of its numbers: logits that are infinite or NaN
model=${SEMCAL_SOURCE:?}/configs/quickstart/models/base
mkdir broken
cp "$model"/* broken/
"$python" - <<'PY'
import json, struct
data = bytearray(open("broken/model.safetensors", "rb").read())
n = struct.unpack("<Q", data[:8])[0]
t = json.loads(data[8:8 + n])["model.norm.weight"]
assert t["dtype"] == "BF16", t
begin, end = (8 + n + x for x in t["data_offsets"])
data[begin:end] = b"\x7f\x7f" * ((end - begin) // 2)  # 3.4e38
open("broken/model.safetensors", "wb").write(data)
with open("ask.jsonl", "w") as f:
    for i, text in enumerate(["What is 2?", "Who is here?", "Say zq"]):
        f.write(json.dumps({"id": f"q{i}", "question": text, "answer": "1"}) + "\n")
open("text.txt", "w").write("What is here? Say zq and go on.\n")
PY
cat >model.yaml <<'YAML'
name: model
models: [{name: m, path: broken}]
datasets: [{name: d, path: ask.jsonl, question: question, answers: answer, id: id, collapse: exact}]
styles: [plain]
style: {plain: {prompt: "{question}", max_tokens: 4}}
sampling: {draws: 3}
YAML
if "$semcal" show devices --json 2>/dev/null | grep -q '"name"'; then
  "$semcal" run model.yaml -o model >out.txt 2>err.txt
  [ $? -eq 5 ] || complain "a model with a NaN: $(tail -n 1 err.txt)"
  grep -qE "cell m\.d\.plain\.T1 failed: question 'q[0-2]': after [0-9]+ tokens of a response: law after [0-9]+ tokens.*is (NaN|\+inf)" err.txt ||
    complain "model: $(head -n 1 err.txt)"
  grep -q "row " err.txt && complain "model: speaks of a row of a batch: $(grep 'row ' err.txt)"
  printf '%s\n' 'name: text' 'models: [{name: m, path: broken}]' 'datasets: [{name: t, path: text.txt, format: text}]' >text.yaml
  "$semcal" run text.yaml -o text >out.txt 2>err.txt
  [ $? -eq 5 ] || complain "a text with a NaN: $(tail -n 1 err.txt)"
  grep -qE "cell m\.t\.tokens\.T1 failed: document 1: token [0-9]+: law before a scored token: .*is (NaN|\+inf)" err.txt ||
    complain "text: $(head -n 1 err.txt)"
fi
finish
