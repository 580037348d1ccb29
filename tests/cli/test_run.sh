#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A run from configuration to table on toy laws: resuming, shards, chains, another collapse, and every slip a user makes.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
command -v h5dump >/dev/null || { echo "skipped: h5dump is not installed"; exit 77; }
toy_data 60
cell=t.d.plain.T1

expect 0 "1 of 1 cells done" "$semcal" run toy.yaml -o whole
first=$(digest whole $cell)
[ ${#first} -eq 64 ] || complain "no content digest in whole/cells/$cell.h5"
for file in config.yaml resolved.yaml log.jsonl cells/$cell.h5; do [ -s "whole/$file" ] || complain "whole/$file is missing"; done
"$python" -c 'import json,sys; [json.loads(line) for line in open("whole/log.jsonl")]' || complain "log.jsonl is not JSON"
expect 0 "(1 of them before)" "$semcal" run toy.yaml -o whole
expect 0 "" "$semcal" verify whole

# the resolved configuration gives the same draws
expect 0 "" "$semcal" run whole/resolved.yaml -o again
[ "$(digest again $cell)" = "$first" ] || complain "resolved.yaml gives other draws"

# chains draw what the tree draws
expect 0 "" "$semcal" run toy.yaml -o chain --set sampling.estimator=chain
[ "$(digest chain $cell)" = "$first" ] || complain "chain and tree differ"
expect 0 "" "$semcal" run toy.yaml -o narrow --set sampling.batch=1
[ "$(digest narrow $cell)" = "$first" ] || complain "the batch size changes draws"

# shards join to the same data
for shard in 3/3 1/3 2/3; do expect 0 "" "$semcal" run toy.yaml -o shards --shard $shard; done
expect 3 "" "$semcal" analyze shards
expect 0 "" "$semcal" merge shards
[ "$(digest shards $cell)" = "$first" ] || complain "merged shards differ from the whole"
expect 0 "" "$semcal" analyze shards
SEMCAL_SHARD=2/2 expect 0 "" "$semcal" run toy.yaml -o auto --shard auto

# other seeds draw otherwise; more questions keep the earlier draws
expect 0 "" "$semcal" run toy.yaml -o seed --set seed=4
[ "$(digest seed $cell)" != "$first" ] || complain "the seed changes nothing"

# analysis: the same numbers twice, JSON with every key
expect 0 "" "$semcal" analyze whole
cp out.txt table1.txt
expect 0 "" "$semcal" analyze whole
cmp -s out.txt table1.txt || complain "analyze is not reproducible"
"$semcal" analyze whole --json >a.json || complain "analyze --json failed"
"$python" - <<'PY' || complain "analyze --json is wrong"
import json
cell = json.load(open("a.json"))["cells"][0]
frequency, split = cell["estimators"]["frequency"], cell["estimators"]["split"]
assert cell["cell_name"] == "t.d.plain.T1" and cell["n_questions"] == 60
assert cell["draws_per_forward"] > 2 and cell["truncated"] == 0 and cell["unparsed"] == 0
assert frequency["smece"] < .25 and 0 < frequency["smece_floor"] < frequency["smece_floor_95"]
assert abs(cell["overconfidence_known"]) < .2 and cell["smece_known"] < .2
assert split["n"] == 60
PY

# another collapse keeps the first one
expect 0 "" "$semcal" collapse whole --with exact
"$semcal" analyze whole --json | grep -q '"collapse": "exact"' || complain "collapse exact is not active"
"$semcal" analyze whole --collapse choice --json >b.json
"$python" -c 'import json
a, b = (json.load(open(f))["cells"][0] for f in ("a.json", "b.json"))
assert a == b, "the first collapse has changed"' || complain "collapse choice is not kept"
[ "$(digest whole $cell)" = "$first" ] || complain "a collapse touched the draws"

# model by model, whatever the list of extra cells says: each is opened once
sed 's/^models:.*/models: [{name: a, source: toy}, {name: b, source: toy}]/' toy.yaml >order.yaml
echo 'extra: [{model: a, dataset: d, style: plain, temperature: [0.5]}]' >>order.yaml
expect 0 "3 of 3 cells done" "$semcal" run order.yaml -o order
"$python" - <<'PY' || complain "cells run in another order"
import json
done = [e["cell"] for e in map(json.loads, open("order/log.jsonl")) if e["event"] == "cell_done"]
assert done == ["a.d.plain.T1", "a.d.plain.T0.5", "b.d.plain.T1"], done
PY
expect 0 "" "$semcal" verify order

# slips
expect 2 "another configuration" "$semcal" run toy.yaml -o whole --set seed=4
expect 0 "" "$semcal" run toy.yaml -o whole --set analyze.bootstrap=7
# a run of a version that knew fewer keys: those it lacks have their defaults
sed -i '/^  flag_share:/d; /^  compression:/d; /^extra:/d' whole/resolved.yaml
expect 0 "1 of 1 cells done (1 of them before)" "$semcal" run toy.yaml -o whole
expect 2 "another configuration" "$semcal" run toy.yaml -o whole --set store.compression=2
grep -q '^  flag_share:' whole/resolved.yaml || complain "resolved.yaml is not written out again"
echo garbage >seed.yaml && mkdir -p torn && cp seed.yaml torn/resolved.yaml
expect 2 "torn/resolved.yaml:1:1" "$semcal" run toy.yaml -o torn
expect 0 "" "$semcal" run toy.yaml -o seed --set seed=5 --fresh
expect 2 "did you mean '--output'" "$semcal" run toy.yaml --outptu x
expect 2 "did you mean 'draws'" "$semcal" run toy.yaml -o x --set sampling.darws=3
expect 2 "sampling.draws" "$semcal" run toy.yaml -o x --set sampling.draws=1000000000
expect 2 "I/N" "$semcal" run toy.yaml -o x --shard 3/2
expect 2 "no batch system" "$semcal" run toy.yaml -o x --shard auto
expect 3 "missing.yaml" "$semcal" run missing.yaml
expect 2 "" "$semcal" collapse whole --with exactt
expect 3 "not a run folder" "$semcal" analyze .
expect 3 "not a run folder" "$semcal" analyze nowhere
sed 's/bravo=/bravi=/' toy.jsonl >broken.jsonl
expect 3 "unknown word 'bravi'" "$semcal" run toy.yaml -o broken --set datasets.d.path=broken.jsonl
: >empty.jsonl
expect 3 "empty.jsonl" "$semcal" run toy.yaml -o empty --set datasets.d.path=empty.jsonl
echo '{"id": "a", "question": "x", "law": {"alfa": 1}}' >short.jsonl
expect 3 "answer" "$semcal" run toy.yaml -o short --set datasets.d.path=short.jsonl
printf 'name: a\nname: b\n' >twice.yaml
expect 2 "twice.yaml:2:1" "$semcal" run twice.yaml

# a cell that fails leaves the others
sed 's/models: .*/models: [{name: t, source: toy}, {name: m, path: nomodel}]/' toy.yaml >two.yaml
expect 1 "1 of 2 cells failed" "$semcal" run two.yaml -o two
[ -s two/cells/$cell.h5 ] || complain "the good cell is missing"

# a damaged result file is noticed
cp -r whole damaged
"$python" - <<'PY'
data = bytearray(open("damaged/cells/t.d.plain.T1.h5", "rb").read())
at = len(data) // 2
data[at:at + 64] = bytes(b ^ 0x5a for b in data[at:at + 64])
open("damaged/cells/t.d.plain.T1.h5", "wb").write(data)
PY
expect 3 "" "$semcal" verify damaged
expect 3 "sha256" "$semcal" analyze damaged
# one damaged cell among several: the others are analysed, exit 1
sed 's/models: .*/models: [{name: t, source: toy}, {name: u, source: toy}]/' toy.yaml >pair.yaml
expect 0 "" "$semcal" run pair.yaml -o pair
cp damaged/cells/t.d.plain.T1.h5 pair/cells/
expect 1 "1 cells could not be analysed" "$semcal" analyze pair
grep -q '^u.d.plain.T1' out.txt || complain "the sound cell was not analysed"
finish
