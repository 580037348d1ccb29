#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# store.full_logits: the laws kept are those drawn from, the same file content after kills, in shards, in little memory or disk;
# perturb and recorded sources read them; without the key nothing changes.
# sanitizers: whole stacks, for the suppression of what HDF5 leaks when a write fails
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}fast_unwind_on_malloc=0
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
needs_device
"$python" -c 'import h5py, numpy' 2>/dev/null || { echo "skipped: $python has no h5py and numpy"; exit 77; }
full="--set store.full_logits=true"

# log-softmax of what is kept, in float64, against what is stored; and what perturb makes of it
cat >check.py <<'PY'
import sys, h5py, numpy as np

def log_sum(x):
    most = x.max(1, keepdims=True)
    return most + np.log(np.exp(x - most).sum(1, keepdims=True))

file, T, tolerance = h5py.File(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
raw = file["logits"][:].astype(float)
assert file["logits"].dtype == np.float32 and file["logits"].compression == "gzip" and file["logits"].fletcher32
assert [d[0].name for d in file["logits"].dims] == ["/logits_row", "/vocabulary"]
node, parent, token = file["logits_node"][:], file["node_parent"][:], file["node_token"][:]
row = np.full(len(parent), -1)
row[node] = np.arange(len(node))
assert ((row >= 0) == ~np.isnan(file["node_entropy"][:])).all() and len(np.unique(node)) == len(node)
assert (file["logits_question"][:] == file["node_question"][:][node]).all()
assert (np.bincount(file["logits_question"][:], minlength=len(file["n_logits"])) == file["n_logits"][:]).all()
law = {1: raw - log_sum(raw), T: raw / T - log_sum(raw / T)}
inner = parent >= 0
assert (row[parent[inner]] >= 0).all()

def close(a, b, what):
    assert np.abs(a - b).max() < tolerance, (what, np.abs(a - b).max())

stored = {T: "node_logprob"} if T == 1 else {T: "node_logprob", 1: "node_logprob_raw"}
of = {}
for t, name in stored.items():
    of[t] = np.zeros(len(parent))
    of[t][inner] = law[t][row[parent[inner]], token[inner]]
    close(of[t], file[name][:], name)
close(log_sum(raw)[:, 0], file["node_log_normalizer"][:][node], "normalizer")
# whole responses: the sum over the path of each draw
draws, length = file["draw_logprob"][:].ravel(), file["draw_tokens"][:].ravel()
sums, at = np.zeros(len(draws)), file["draw_leaf"][:].ravel()
while (at >= 0).any():
    sums += np.where(at >= 0, of[T][np.maximum(at, 0)], 0)
    at = np.where(at >= 0, parent[np.maximum(at, 0)], -1)
assert (np.abs(sums - draws) < tolerance * (1 + length)).all(), np.abs(sums - draws).max()
top = file["node_top_token"][:][node]
kept = np.take_along_axis(law[T], np.maximum(top, 0), 1)
known = np.isfinite(kept) & (top >= 0)
assert np.abs(kept[known] - file["node_top_logprob"][:][node][known]).max() < 2e-6
if len(sys.argv) > 4:  # perturb's own numbers, away from its device
    out, target = h5py.File(sys.argv[4]), file["logits_target"][:]
    assert (target >= 0).all() and (parent[(inner) & np.isin(np.arange(len(parent)), node)] >= 0).all()
    first = {}
    for i in np.nonzero(inner)[0]:
        first.setdefault(parent[i], token[i])
    assert all(first[n] == t for n, t in zip(node, target))
    rows = np.arange(len(target))
    loss = log_sum(raw)[:, 0] - raw[rows, target]
    assert np.abs(out["loss"][:] - loss).max() < 1e-5 * max(1, loss.max())
    for k, t in enumerate((.5, 2)):
        tempered = (log_sum(raw / t) - raw[rows, target][:, None] / t)[:, 0]
        assert np.abs(out["loss_temperature"][:, k] - tempered).max() < 1e-5 * max(1, tempered.max()), t
PY

# everything but the laws is as without them
cat >same.py <<'PY'
import sys, h5py, numpy as np
a, b = h5py.File(sys.argv[1]), h5py.File(sys.argv[2])
more = {"logits", "logits_node", "logits_question", "logits_target", "logits_row", "vocabulary", "n_logits", "logits_sha256"}
assert set(b) - set(a) == more and not set(a) - set(b), set(a) ^ set(b)
for name, data in a.items():
    if isinstance(data, h5py.Dataset) and "CLASS" not in data.attrs and name not in ("question_sha256", "forward_tokens"):
        x, y = data[:], b[name][:]
        assert (x == y).all() if x.dtype.kind == "O" else np.array_equal(x, y, equal_nan=x.dtype.kind == "f"), name
PY

# ---- the toy: all estimators, two temperatures ----
toy_data 60 2
for estimator in tree chain exact hybrid; do
  for T in 1 0.7; do
    expect 0 "1 of 1 cells done" "$semcal" run toy.yaml -o $estimator.$T $full --set sampling.estimator=$estimator --set sampling.temperature=$T
    "$python" check.py $estimator.$T/cells/*.h5 $T 5e-7 || complain "$estimator, temperature $T: the laws kept are others"
    expect 0 "" "$semcal" verify $estimator.$T
  done
done
[ "$(digest tree.1 t.d.plain.T1)" = "$(digest chain.1 t.d.plain.T1)" ] || complain "chains keep other laws"
expect 0 "" "$semcal" run toy.yaml -o plain
"$python" same.py plain/cells/*.h5 tree.1/cells/*.h5 || complain "full_logits changes more than it adds"
h5dump -A plain/cells/*.h5 | grep -qE '"(n_vocabulary|vocabulary|logits)"' && complain "a run without full_logits knows of it"
expect 2 "now 'full_logits: true'" "$semcal" run toy.yaml -o plain $full
expect 2 "now 'full_logits: false'" "$semcal" run toy.yaml -o tree.1
expect 0 "" "$semcal" analyze tree.1
expect 0 "" "$semcal" collapse tree.1 --with exact
[ "$(digest tree.1 t.d.plain.T1)" = "$(digest chain.1 t.d.plain.T1)" ] || complain "a collapse touched the laws"
"$python" check.py tree.1/cells/*.h5 1 5e-7 || complain "a collapse touched the laws"

# ---- a transformer: batches, little memory, perturb, a recorded source ----
model_data 12 12 '\n'
cell=base.world.concise.T1
expect 0 "" "$semcal" run model.yaml -o whole $full
"$semcal" perturb whole/cells/$cell.h5 --targets whole/cells/$cell.h5 --temperatures .5,2 -o perturbed.h5 >out.txt 2>err.txt ||
  complain "perturb does not read a cell: $(tail -n 1 err.txt)"
"$python" check.py whole/cells/$cell.h5 1 5e-7 perturbed.h5 || complain "the laws kept are not those of the model"
want=$(digest whole $cell)
expect 0 "" "$semcal" run model.yaml -o batch $full --set sampling.batch=3
expect 0 "" "$semcal" run model.yaml -o kv $full --set models.base.kv_memory=140k
weights=$(h5dump -a model_weight_bytes whole/cells/$cell.h5 | sed -n 's/.*(0): "\(.*\)"/\1/p')
expect 0 "" env SEMCAL_DEVICE_MEMORY=$((weights + 2000000)) "$semcal" run model.yaml -o memory $full
for run in batch kv memory; do
  [ "$(digest $run $cell)" = "$want" ] || complain "$run: other laws"
done
cat >replay.yaml <<YAML
name: replay
models: [{name: r, source: recorded, logits: whole/cells/$cell.h5}]
datasets: [{name: d, path: rows.jsonl, id: id, question: question, answers: answer, collapse: exact}]
styles: [token]
style: {token: {prompt: "{question}", max_tokens: 1, stop: []}}
sampling: {draws: 20}
YAML
for i in 0 3 4 5 40; do echo "{\"id\": \"r$i\", \"question\": \"$i\", \"answer\": \"0\"}"; done >rows.jsonl
expect 0 "" "$semcal" run replay.yaml -o replay $full
"$python" - whole/cells/$cell.h5 replay/cells/*.h5 <<'PY' || complain "the recorded source replays other laws"
import sys, h5py, numpy as np
a, b = (h5py.File(f) for f in sys.argv[1:])
assert np.array_equal(a["logits"][[0, 3, 4, 5, 40]], b["logits"][:])
assert np.array_equal(a["node_entropy"][:][a["logits_node"][:][[0, 3, 4, 5, 40]]], b["node_entropy"][:][b["logits_node"][:]])
PY

# ---- shards, kills, Ctrl-C ----
toy_data 1200 4
cell=t.d.plain.T1
expect 0 "" "$semcal" run toy.yaml -o long $full
want=$(digest long $cell)
expect 0 "" "$semcal" run toy.yaml -o shards $full --shard 1/2
expect 0 "" "$semcal" run toy.yaml -o shards $full --shard 2/2
expect 0 "" "$semcal" merge shards
[ "$(digest shards $cell)" = "$want" ] || complain "shards keep other laws"
RANDOM=5
kills=0
for attempt in $(seq 1 14); do
  "$semcal" run toy.yaml -o broken $full >/dev/null 2>err.txt &
  pid=$!
  sleep "$(printf '0.%03d' $((RANDOM % 350 + 20)))"
  if [ $((attempt % 3)) -eq 0 ]; then kill -INT $pid 2>/dev/null; elif kill -9 $pid 2>/dev/null; then kills=$((kills + 1)); fi
  wait $pid 2>/dev/null
  [ $? -eq 0 ] && break
done
expect 0 "" "$semcal" run toy.yaml -o broken $full
[ "$(digest broken $cell)" = "$want" ] || complain "another content digest after kills"
expect 0 "" "$semcal" verify broken
"$python" check.py broken/cells/$cell.h5 1 5e-7 || complain "kills left other laws"
[ $kills -ge 2 ] || complain "only $kills kills hit a living process: the test tested nothing"
[ -z "$(find broken -name "spill-*")" ] && [ "$(ls broken/cells)" = "$cell.h5" ] || complain "left in the folder: $(ls broken/cells)"

# ---- a full disk, for which a limit on the size of files stands: one line, and the run goes on later ----
(ulimit -f 100; trap '' XFSZ; "$semcal" run toy.yaml -o small $full >/dev/null 2>full.txt; echo $? >code.txt)
[ "$(cat code.txt)" = 3 ] || complain "no room gave exit $(cat code.txt): $(tail -n 1 full.txt)"
[ "$(grep -c "failed\|no room" full.txt)" -eq 1 ] && grep -q "no room left for small" full.txt || complain "no room: $(cat full.txt)"
expect 0 "" "$semcal" run toy.yaml -o small $full
[ "$(digest small $cell)" = "$want" ] || complain "another digest after a full disk"

# ---- what it will cost ----
expect 0 "store.full_logits keeps about" "$semcal" plan toy.yaml $full
grep -q "^warning: " err.txt && complain "a small run is warned about"
expect 0 "store.full_logits keeps about" "$semcal" plan replay.yaml $full
expect 3 "model 'r'" "$semcal" plan replay.yaml $full --set models.r.logits=nothing.npy
expect 0 "warning: store.full_logits keeps about" "$semcal" plan model.yaml $full --set sampling.draws=1000000
"$semcal" plan model.yaml $full --json | "$python" -c '
import json, sys
total = json.load(sys.stdin)["total"]
assert 0 < total["logits_bytes"] < total["disk_bytes"], total' || complain "plan --json does not say what the laws take"
finish
