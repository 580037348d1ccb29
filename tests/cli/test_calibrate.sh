#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# semcal calibrate: numbers known by hand, every promised key, and one clear line for each kind of bad file.
set -u
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0
complain() { echo "calibrate: $1" >&2; failures=$((failures + 1)); }

# 100 points c = 1 and 100 points c = .5, all right half the time: .250 by definition, .168 in relplot's arithmetic.
{ printf 'id,Correct answer,correct,confidence\r\n'
  for i in $(seq 100); do printf '%d,"a ""b"", c",%s,1.0\r\n%d,x,%s,5e-1\r\n' "$i" $((i % 2)) "$i" $((i % 2)); done
} > ends.csv

"${SEMCAL:?}" calibrate ends.csv --json --bootstrap 200 > ends.json || complain "exit $?"
python3 - <<'PYTHON' || complain "wrong numbers"
import json
r = json.load(open("ends.json"))
keys = """n accuracy mean_confidence overconfidence smece smece_sigma smece_005 smece_ci smece_floor smece_floor_95
smece_relplot ece_10 brier log_loss log_loss_infinite log_loss_smoothed auroc smce dsmce pgap_shift pgap_affine
pgap_lipschitz pgap_isotonic pgap_sq pgap_shift_crossfit pgap_affine_crossfit pgap_lipschitz_crossfit
pgap_isotonic_crossfit pgap_sq_crossfit""".split()
missing = [k for k in keys if k not in r]
assert not missing, missing
want = {"n": 200, "accuracy": .5, "mean_confidence": .75, "overconfidence": .25, "smece": .25, "smece_005": .25,
        "smece_relplot": .167944, "ece_10": .25, "brier": .375, "log_loss_infinite": 50, "auroc": .5}
for key, value in want.items():
    assert abs(r[key] - value) < 1e-5, (key, r[key], value)
assert r["log_loss"] is None and r["log_loss_smoothed"] is None
# Calibrated at .5, overconfident by .5 at 1: every smooth error is .5 * 1/2.
assert abs(r["smce"] - .25) < 1e-12 and abs(r["dsmce"] - .25) < 1e-12, (r["smce"], r["dsmce"])
order = [r["pgap_" + f] for f in ("shift", "affine", "lipschitz", "isotonic")]
assert all(0 < x <= y + 1e-8 for x, y in zip(order, order[1:])), order
assert abs(order[3] - 4 * .25) < 1e-9, order      # the wrong half of the atom at 1 gains 4 nats each
assert all(r["pgap_" + f + s] is not None for f in ("shift", "affine", "lipschitz", "isotonic", "sq")
           for s in ("_crossfit", "_floor", "_floor_95", "_ci"))
low, high = r["smece_ci"]
assert 0 <= low < .25 < high < .5, r["smece_ci"]
PYTHON

"$SEMCAL" calibrate ends.csv --json --bootstrap 200 > again.json && cmp -s ends.json again.json || complain "same seed, other numbers"
"$SEMCAL" calibrate ends.csv --json --bootstrap 200 --seed 2 > other.json
cmp -s ends.json other.json && complain "another seed, same numbers"
"$SEMCAL" calibrate ends.csv --json --mode relplot --bootstrap 0 --floor 0 --draws 50 |
  python3 -c 'import json,sys; r=json.load(sys.stdin); assert abs(r["smece"]-.167944)<1e-5 and r["smece_ci"] is None and r["log_loss_smoothed"]>0' || complain "--mode relplot"
"$SEMCAL" calibrate ends.csv --bootstrap 0 --floor 0 > table.txt || complain "table"
grep -Eq '^smece +0\.250000' table.txt || complain "no smece in the table"
grep -Eq '^log_loss +- ' table.txt || complain "an infinite loss must not print as a number"
printf 'correct,confidence\nTRUE,.5\nfalse,.5\n' > words.csv
"$SEMCAL" calibrate words.csv --json | grep -q '"accuracy": 0.5' || complain "true and false"
"$SEMCAL" calibrate --help | grep -q 'PAIRS.csv' || complain "--help"

printf 'confidence,correct\n.7,1\n' | tee one.csv >/dev/null
"$SEMCAL" calibrate one.csv --json | python3 -c '
import json,sys
r = json.load(sys.stdin)
assert all(v is None or v == [None, None] for k, v in r.items() if k.endswith("_ci")), "an interval from one pair"
assert abs(r["smece"] - .3) < 1e-9 and r["smece_floor"] > 0' || complain "one pair"
{ printf 'confidence,correct\n'; printf '1e-300,1\n%.0s' 1 2 3; printf '.5,0\n'; } >far.csv
"$SEMCAL" calibrate far.csv --json | python3 -c '
import json,sys
r = json.load(sys.stdin)
ends = {k: v[1] for k, v in r.items() if k.endswith("_ci")}
assert all(v <= (4 if k.startswith("pgap") and "_sq" not in k else 1) for k, v in ends.items()), ends' || complain "impossible intervals"

# bad CONTENT EXIT TEXT [options]: exit code, one line on stderr that contains TEXT, nothing on stdout.
bad() {
  local content=$1 want=$2 text=$3; shift 3
  printf '%b' "$content" > bad.csv
  "$SEMCAL" calibrate bad.csv "$@" > out.txt 2> err.txt
  local got=$?
  [ "$got" -eq "$want" ] || complain "'$content' exits $got, not $want"
  [ ! -s out.txt ] || complain "'$content' prints on stdout"
  [ "$(wc -l < err.txt)" -eq 1 ] || complain "'$content' gives $(wc -l < err.txt) lines"
  grep -qF -- "$text" err.txt || complain "'$content' says '$(cat err.txt)', not '$text'"
}
bad 'confidence,correct\n.5,1\n1.5,0\n' 3 'bad.csv:3: confidence'
bad 'confidence,correct\n.5,1\n-0.1,0\n' 3 'bad.csv:3: confidence'
bad 'confidence,correct\nnan,1\n' 3 'bad.csv:2:'
bad 'confidence,correct\ninf,1\n' 3 'bad.csv:2:'
bad 'confidence,correct\n,1\n' 3 'bad.csv:2:'
bad 'confidence,correct\n.5,2\n' 3 "bad.csv:2: correct: '2'"
bad 'confidence,correct\n.5,\n' 3 'bad.csv:2: correct'
bad 'confidence,correct\n.5,.5\n' 3 'bad.csv:2: correct'
bad 'confidence,correct\n.5\n' 3 'bad.csv:2:'
bad 'confidence,correct\n' 3 'no pairs'
bad '' 3 'bad.csv'
bad '.5,1\n.7,0\n' 3 'confidence'
bad 'confidence,corect\n.5,1\n' 3 'correct'
bad 'confidence,correct\n.5,1\n' 2 'relplot' --mode binned
bad 'confidence,correct\n.5,1\n' 2 "did you mean '--bootstrap'" --bootstap 3
bad 'confidence,correct\n.5,1\n' 2 'negative' --draws -1
"$SEMCAL" calibrate absent.csv > out.txt 2> err.txt; [ $? -eq 3 ] && grep -q absent.csv err.txt || complain "absent file"
"$SEMCAL" calibrate > out.txt 2> err.txt; [ $? -eq 2 ] || complain "no operand"

# The best tilts as a curve: constant where they should be, and tau(c) of a calibrated atom is 0.
printf 'confidence,correct\n' > atoms.csv
for i in 1 2 3 4; do printf '.5,%d\n.25,%d\n' $((i % 2)) $((i == 1)); done >> atoms.csv
"$SEMCAL" calibrate atoms.csv --bootstrap 0 --floor 0 --gaps 0 --curve curve.csv > /dev/null || complain "--curve"
python3 - <<'PYTHON' || complain "the curve"
import csv
rows = list(csv.DictReader(open("curve.csv")))
assert [round(float(r["confidence"]) * 200) for r in rows] == list(range(201))
for family in "shift", "affine", "lipschitz", "isotonic":
    assert all(abs(float(r["tau_" + family])) < 1e-6 for r in rows[50:101]), family
assert abs(float(rows[100]["accuracy"]) - .5) < .01
PYTHON
"$SEMCAL" calibrate ends.csv --bootstrap 0 --floor 0 --gaps 0 --curve curve.csv > /dev/null
python3 - <<'PYTHON' || complain "the curve of an overconfident sample"
import csv
rows = list(csv.DictReader(open("curve.csv")))
assert float(rows[200]["tau_isotonic"]) < -3.99, rows[200]
PYTHON
"$SEMCAL" calibrate ends.csv --curve absent/curve.csv > out.txt 2> err.txt
[ $? -ne 0 ] && [ "$(wc -l < err.txt)" -eq 1 ] && [ ! -s out.txt ] && grep -q absent/curve.csv err.txt ||
  complain "a curve that cannot be written"

[ "$failures" -eq 0 ] || exit 1
echo "calibrate: ok"
