# SPDX-License-Identifier: Apache-2.0
# How early responses decide: laws that decide at their last word have resolved nothing until then, laws that decide
# first everything at once; the same by enumeration and by forks; added to a finished run, collapsed again, resumed.
. "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"

toy_data 60 2
for decide in first last; do
  sed "s/decide=[a-z]*/decide=$decide/" toy.jsonl >"$decide.jsonl"
  sed "s/toy.jsonl/$decide.jsonl/" toy.yaml >"$decide.yaml"
done
run() { # run FOLDER CONFIG ARGUMENTS...
  local folder=$1 config=$2
  shift 2
  "$semcal" run "$config" -o "$folder" "$@" >"$folder.out" 2>"$folder.err" || complain "$folder: $(tail -n 1 "$folder.err")"
  "$semcal" analyze "$folder" --json >"$folder.json" 2>err.txt || complain "analyze $folder: $(cat err.txt)"
}
wanted=(--set mechanism.questions=60 --set mechanism.max_forward_tokens=200 --set mechanism.positions=4)
run first first.yaml "${wanted[@]}"
run last last.yaml "${wanted[@]}"
run forked last.yaml "${wanted[@]}" --set mechanism.max_forward_tokens=0
run without first.yaml

# fewer continuations than that say next to nothing about one prefix
expect 2 "mechanism.forks" "$semcal" run first.yaml -o few "${wanted[@]}" --set mechanism.forks=31

cell=$(basename first/cells/*.h5 .h5)
[ ! -e without/mechanism ] || complain "a run without mechanism has a folder of it"
before=$(digest without "$cell")
run without first.yaml "${wanted[@]}"
[ "$before" = "$(digest without "$cell")" ] || complain "a mechanism added later changed the draws"
cmp -s without.json first.json || diff without.json first.json >diff.txt
grep -q resolved diff.txt 2>/dev/null && complain "a mechanism added later has other numbers: $(cat diff.txt)"
# killed between its two files: the next run makes what is missing
rm "first/mechanism/$cell.choice.h5"
cp first.json whole.json
run first first.yaml "${wanted[@]}"
cmp -s first.json whole.json || complain "a resumed mechanism has other numbers"
"$semcal" collapse first --with exact >out.txt 2>&1 || complain "collapse: $(cat out.txt)"
[ -e "first/mechanism/$cell.exact.h5" ] || complain "the collapse was not applied to the mechanism"
"$semcal" verify first >out.txt 2>&1 || complain "verify: $(cat out.txt)"

"$python" - <<'PY' || complain "numbers of the mechanism"
import json, sys
bad = 0
def check(condition, text):
    global bad
    if not condition:
        print("FAILED:", text, file=sys.stderr)
        bad = 1
def of(folder):
    m = json.load(open(folder + ".json"))["cells"][0]["mechanism"]
    check(m is not None and m["n_questions"] == 60, f"{folder} has a mechanism of 60 questions")
    return m
# a response has four tokens: two fillers, the word, the end
first, last, forked = of("first"), of("last"), of("forked")
check(first["exact"] == 1 and last["exact"] == 1 and forked["exact"] == 0, "what was enumerated")
for m, at in ((first, [0, 1, 1, 1, 1]), (last, [0, 0, 0, 1, 1])):
    for place, expected in zip(m["by_fraction"], at):
        check(abs(place["resolved"] - expected) < .01, f"by fraction: {place}, expected {expected}")
    for place in m["by_token"]:  # 0, 3, 6, 9, 12 tokens
        check(abs(place["resolved"] - (place["token"] >= 3)) < .01, f"by token: {place}")
    check(all(p["low"] <= p["resolved"] <= p["high"] <= 1 for p in m["by_fraction"]), "intervals")
for place, expected in zip(forked["by_fraction"], [0, 0, 0, 1, 1]):
    check(place["low"] - .02 <= expected <= place["high"] + .02 and place["high"] - place["low"] < .2,
          f"by forks: {place}, expected {expected}")
check(forked["by_fraction"][1]["resolved"] != 0, "forks have noise")
check(abs(forked["start"] - last["start"]) < .05, "c (1 - c) by forks and exactly")
sys.exit(bad)
PY
finish
