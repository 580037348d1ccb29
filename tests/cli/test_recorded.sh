#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Recorded logits as single-token questions: the pushforward under a choice of tokens is that of the softmax.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
"$python" -c 'import numpy' 2>/dev/null || { echo "skipped: numpy is not installed"; exit 77; }
"$python" - <<'PY'
import json, numpy
rng = numpy.random.default_rng(5)
logits = rng.normal(0, 2, (40, 300)).astype(numpy.float32)
numpy.save("logits.npy", logits)
p = numpy.exp(logits.astype(float)); p /= p.sum(1, keepdims=True)
with open("rows.jsonl", "w") as out:
    for i in range(40):
        answer = int(rng.choice(300, p=p[i]))
        print(json.dumps({"id": f"row{i}", "question": str(i), "answer": str(answer)}), file=out)
PY
cat >recorded.yaml <<'YAML'
name: recorded
models: [{name: r, source: recorded, path: ., logits: logits.npy}]
datasets: [{name: d, path: rows.jsonl, id: id, question: question, answers: answer, collapse: exact}]
styles: [token]
style: {token: {prompt: "{question}", max_tokens: 1, stop: []}}
sampling: {draws: 400}
YAML
expect 0 "1 of 1 cells done" "$semcal" run recorded.yaml -o run
expect 0 "" "$semcal" analyze run
expect 3 "" "$semcal" run recorded.yaml -o none --set models.r.logits=missing.npy
cat >check.py <<'PY'
import sys
try:
    import h5py, numpy
except ImportError as reason:
    print(f"skipped: {reason}"); sys.exit(0)
logits = numpy.load("logits.npy").astype(float)
logp = logits - numpy.log(numpy.exp(logits).sum(1, keepdims=True))
with h5py.File("run/cells/r.d.token.T1.h5") as f:
    drawn = numpy.array([[int(t) for t in row] for row in f["draw_text"][:]])
    stored = f["draw_logprob"][:]
    answers = [int(t) for t in f["answer_text"][:]]
    reference = f["logprob_reference"][:]
assert numpy.abs(stored - numpy.take_along_axis(logp, drawn, 1)).max() < 1e-5
assert numpy.abs(reference - logp[numpy.arange(40), answers]).max() < 1e-5
# the most probable token of each row appears as often as it should
top = logp.argmax(1)
share = (drawn == top[:, None]).mean(1)
expected = numpy.exp(logp[numpy.arange(40), top])
z = (share - expected) / numpy.sqrt(expected * (1 - expected) / 400)
assert numpy.abs(z).max() < 4.5 and .5 < z.std() < 1.6, z
PY
"$python" check.py || complain "the stored draws are not those of the recorded laws"
finish
