# SPDX-License-Identifier: Apache-2.0
# Runs with the estimators exact and hybrid: draws as always, responses enumerated, certified numbers that agree with
# the law written in the questions; a budget too small is said, never a number.
. "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"

toy_data 40 1
"$semcal" run toy.yaml -o tree 2>err.txt || complain "tree run: $(tail -n 1 err.txt)"
cell=$(basename tree/cells/*.h5 .h5)

run() { # run FOLDER ARGUMENTS...
  local folder=$1
  shift
  "$semcal" run toy.yaml -o "$folder" "$@" >"$folder.out" 2>"$folder.err" || complain "$folder: $(tail -n 1 "$folder.err")"
}
run exact --set sampling.estimator=exact --set sampling.epsilon=1e-6
run hybrid --set sampling.estimator=hybrid --set sampling.epsilon=0.05 --set sampling.max_forward_tokens=12

same() { # same VARIABLE FOLDER: as in the tree run
  local a b
  a=$(h5dump -d "$1" "tree/cells/$cell.h5" | grep '^ *(')
  b=$(h5dump -d "$1" "$2/cells/$cell.h5" | grep '^ *(')
  [ -n "$a" ] && [ "$a" = "$b" ] || complain "$1 of $2 is not that of the tree"
}
for folder in exact hybrid; do
  [ -e "$folder/cells/$cell.h5" ] || { complain "$folder has no cell $cell: $(ls "$folder/cells")"; continue; }
  same draw_text "$folder"
  same draw_logprob "$folder"
  same confidence_frequency "$folder"
  "$semcal" verify "$folder" >verify.txt 2>&1 || complain "verify $folder: $(cat verify.txt)"
  "$semcal" analyze "$folder" --json >"$folder.json" 2>err.txt || complain "analyze $folder: $(cat err.txt)"
done
grep -q 'leaves the mode' exact.err && complain "exact complains: $(cat exact.err)"

cp toy.jsonl laws.jsonl
toy_data 40 9 # so many strings that neither twenty draws nor four prefixes tell anything
run poor --set sampling.estimator=exact --set sampling.max_forward_tokens=4
grep -q 'leaves the mode of 40 of 40' poor.err || complain "a budget too small is not said: $(cat poor.err)"
"$semcal" analyze poor --json >poor.json 2>err.txt || complain "analyze poor: $(cat err.txt)"
toy_data 40 2
for mass in 0 0.9; do # half of the modes become certain, with bounds some tenths apart
  folder=$([ "$mass" = 0 ] && echo wide || echo strict)
  run "$folder" --set sampling.estimator=exact --set sampling.max_forward_tokens=45 --set analyze.reliable_mass=$mass
  "$semcal" analyze "$folder" --json >"$folder.json" 2>err.txt || complain "analyze $folder: $(cat err.txt)"
done
toy_data 40 1

"$python" - <<'PY' || complain "numbers of exact and hybrid"
import json, sys
laws = [json.loads(line)["law"] for line in open("laws.jsonl")]
c = sum(max(law.values()) for law in laws) / len(laws)
bad = 0
def check(condition, text):
    global bad
    if not condition:
        print("FAILED:", text, file=sys.stderr)
        bad = 1
cell = {f: json.load(open(f + ".json"))["cells"][0] for f in ("exact", "hybrid", "poor", "wide", "strict")}
exact = cell["exact"]["estimators"]["exact"]
check(exact["n"] == 40 and cell["exact"]["mode_certain"] == 1, "every mode is certain")
check(abs(exact["mean_confidence"] - c) < 1e-6, f"mean confidence {exact['mean_confidence']}, the laws say {c}")
low, high = cell["exact"]["smece_certified_lower"], cell["exact"]["smece_certified_upper"]
check(low <= exact["smece_005"] <= high and high - low < 1e-3, f"certified [{low}, {high}], {exact['smece_005']}")
# the middle of wide bounds is no confidence: a certain mode is not enough
wide, narrow = cell["wide"], cell["strict"]
check(wide["mode_certain"] == narrow["mode_certain"] and wide["estimators"]["exact"]["n"] ==
      round(40 * wide["mode_certain"]) > narrow["estimators"]["exact"]["n"], "unreliable bounds are left out")
check(wide["smece_certified_upper"] == narrow["smece_certified_upper"], "certified bounds are over all questions")
check(cell["exact"]["estimators"]["hybrid"]["n"] == 40, "a finished enumeration is its own hybrid")
hybrid = cell["hybrid"]["estimators"]["hybrid"]
check(hybrid["n"] == 40, "hybrid has every question")
width = cell["hybrid"]["exact_width"]
check(0 < width < 1, f"hybrid leaves something open: {width}")
check(abs(hybrid["mean_confidence"] - c) < .03, f"hybrid {hybrid['mean_confidence']}, the laws say {c}")
poor = cell["poor"]
check(poor["estimators"]["exact"]["n"] == 0 and poor["estimators"]["exact"]["smece"] is None, "poor has no number")
check(poor["mode_certain"] == 0, "poor is flagged")
check(poor["smece_certified_lower"] == 0, "poor knows nothing")
tree_certified = json.loads(__import__("subprocess").check_output([__import__("os").environ["SEMCAL"], "analyze", "tree", "--json"]))
check(tree_certified["cells"][0]["mode_certain"] is None, "a tree run has no certified numbers")
sys.exit(bad)
PY

# Shards, a stop and a resume, another collapse: the same data.
whole=$(digest hybrid "$cell")
[ -n "$whole" ] || complain "no digest"
for shard in 1 2 3; do
  run shards --set sampling.estimator=hybrid --set sampling.epsilon=0.05 --set sampling.max_forward_tokens=12 \
    --shard "$shard/3"
done
"$semcal" merge shards >out.txt 2>&1 || complain "merge: $(cat out.txt)"
[ "$(digest shards "$cell")" = "$whole" ] || complain "shards give other data"
"$semcal" collapse hybrid --with exact 2>err.txt || complain "collapse: $(cat err.txt)"
[ "$(digest hybrid "$cell")" = "$whole" ] || complain "a collapse changed the data"

finish
