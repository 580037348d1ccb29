#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# analyze.splits: any number of halvings behind the split estimator; a finished run takes another one without the model.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
"$python" -c 'import h5py' 2>/dev/null || { echo "skipped: $python has no h5py"; exit 77; }
toy_data 60
column() { "$python" -c "import h5py,json;print(json.dumps(h5py.File('run/cells/t.d.plain.T1.h5')['$1'][:].tolist()))"; }
grid() { "$python" -c "import json,sys;print(all(abs(c*$1-round(c*$1))<1e-9 for c in json.load(sys.stdin)))"; }
"$semcal" run toy.yaml -o run 2>/dev/null || complain "the first run failed"
digest=$(digest run t.d.plain.T1)
column confidence_split >ten.txt
[ "$(grid 10 <ten.txt)" = False ] || complain "ten splits of ten draws look like one"
[ "$(grid 100 <ten.txt)" = True ] || complain "ten splits are not a mean over ten halves"
expect 0 "1 of them before" "$semcal" run toy.yaml -o run --set analyze.splits=1
column confidence_split >one.txt
[ "$(grid 10 <one.txt)" = True ] || complain "one split is not a frequency in ten draws"
"$semcal" analyze run --json >one.json 2>err.txt || complain "analyze: $(cat err.txt)"
expect 0 "" "$semcal" run toy.yaml -o run --set analyze.splits=37
[ "$(column confidence_split | grid 370)" = True ] || complain "37 splits"
expect 0 "" "$semcal" run toy.yaml -o run
column confidence_split | cmp -s - ten.txt || complain "going back to ten splits gives other numbers"
[ "$(digest run t.d.plain.T1)" = "$digest" ] || complain "another number of splits changed the draws"
"$semcal" analyze run --json >ten.json 2>/dev/null
# the floor knows the number of splits: fewer are noisier, so a calibrated model would show more
"$python" - <<'PY' || complain "floors, or counts that are no integers"
import json
def split(name):
    cell = json.load(open(name))["cells"][0]
    assert all(type(cell[k]) is int for k in ("n_questions", "draws", "draw_tokens", "forward_tokens")), cell
    assert type(cell["estimators"]["split"]["n"]) is int
    return next(v for k, v in cell["estimators"]["split"].items() if "model_floor" in k and "95" not in k)
assert split("one.json") > split("ten.json"), (split("one.json"), split("ten.json"))
PY
expect 2 "splits" "$semcal" run toy.yaml -o none --set analyze.splits=0
finish
