# SPDX-License-Identifier: Apache-2.0
# semcal tilt: class masses against the laws written in the questions, draws within their errors, forks that get better,
# and one line for each mistake.
. "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"

toy_data 12 2
tilt() { "$semcal" tilt toy.yaml -n 12 --json "$@"; }
tilt --tau 1.5 --draws 4000 --forks 32 --samples draws.jsonl >up.json 2>err.txt || complain "tilt: $(cat err.txt)"
tilt --tau -0.7 --draws 0 --forks 1024 >down.json 2>err.txt || complain "tilt -0.7: $(cat err.txt)"
tilt --tau -0.7 --draws 0 --forks 16 >coarse.json 2>err.txt || complain "tilt -0.7: $(cat err.txt)"
tilt --tau 1.5 --draws 4000 --forks 32 >again.json
cmp -s up.json again.json || complain "the same command gave other numbers"
tilt --tau 1.5 --draws 4000 --set seed=4 | cmp -s up.json - && complain "another seed gave the same draws"

"$python" - <<'PY' || complain "numbers"
import json, math, sys
rows = [json.loads(line) for line in open("toy.jsonl")]
bad = 0
def check(condition, text):
    global bad
    if not condition:
        print("FAILED:", text, file=sys.stderr)
        bad = 1
def sigmoid_of(c, tau): return c * math.exp(tau) / (1 + c * math.expm1(tau))
up, down, coarse = (json.load(open(f + ".json")) for f in ("up", "down", "coarse"))
for run, tau in ((up, 1.5), (down, -.7)):
    check(run["n_tilted"] == 12 and run["n_left_out"] == 0, "all are tilted")
    change = 0
    for row, q in zip(rows, run["questions"]):
        mode, c = max(row["law"].items(), key=lambda item: item[1])
        right = mode == row["answer"]
        check(q["question"] == row["id"] and q["mode"] == mode and q["correct"] == right, f"mode of {row['id']}")
        check(abs(q["c"] - c) < 1e-12, f"c {q['c']} is not {c}")
        check(abs(q["mass"] - sigmoid_of(c, tau)) < 1e-12, f"mass {q['mass']} is not {sigmoid_of(c, tau)}")
        check(abs(q["mass_closed_form"] - sigmoid_of(c, tau)) < 1e-12 and q["apart"] < 1e-12, "closed form")
        # the law itself says what the accepted answer's log loss becomes
        p = row["law"][row["answer"]]
        after = p * (math.exp(tau) if right else 1) / (1 + c * math.expm1(tau))
        check(abs(q["loss_change"] - math.log(p / after)) < 1e-12, f"loss change {q['loss_change']}")
        change += q["loss_change"] / 12
        check(0 <= q["divergence_with_forks"] < .05, "divergence is one")
    check(abs(run["loss_change"] - change) < 1e-12, "mean loss change")
worst = max(abs(q["share_of_draws"] - q["mass"]) / math.sqrt(q["mass"] * (1 - q["mass"]) / 4000) for q in up["questions"])
check(worst < 4.5, f"share of the draws is {worst} standard errors away")
mean = lambda run: sum(q["divergence_with_forks"] for q in run["questions"])
check(0 < mean(down) < mean(coarse) / 8, f"forks: {mean(coarse)} nats with 16, {mean(down)} with 1024")

draws = [json.loads(line) for line in open("draws.jsonl")]
check(len(draws) == 12 * 4000, f"{len(draws)} draws")
first = [d for d in draws if d["question"] == "t0"]
for d in first:
    shift = d["logprob"] - d["logprob_untilted"]
    c = up["questions"][0]["c"]
    want = (1.5 if d["class"] == up["questions"][0]["mode"] else 0) - math.log1p(c * math.expm1(1.5))
    check(d["class"] in d["text"] and abs(shift - want) < 1e-12, f"draw {d}")
sys.exit(bad)
PY

# A table for people; a single question.
"$semcal" tilt toy.yaml --question t3 --draws 100 >table.txt || complain "table"
grep -q '^1 questions: mean c' table.txt && grep -q ' t3: ' table.txt || complain "the table: $(cat table.txt)"
[ "$(grep -c ' t[0-9]*: ' table.txt)" = 1 ] || complain "one question was asked for"

# What a budget does not reach is told, never a number.
"$semcal" tilt toy.yaml -n 2 --budget 20 --json >none.json 2>err.txt
[ $? = 5 ] || complain "nothing tilted must be exit 5"
grep -q "question 't0': .*unexplored after .* raise the budget" err.txt || complain "budget: $(cat err.txt)"
grep -q '"mass": null' none.json && grep -q '"tilted": false' none.json || complain "no numbers: $(cat none.json)"
"$python" - <<'PY'
import json
rows = [json.loads(line) for line in open("toy.jsonl")]
rows[0]["question"] = rows[0]["question"].replace("fillers=2", "fillers=9")
open("mixed.jsonl", "w").writelines(json.dumps(r) + "\n" for r in rows)
PY
sed 's/toy.jsonl/mixed.jsonl/' toy.yaml >mixed.yaml
"$semcal" tilt mixed.yaml -n 3 --budget 200 --json >mixed.json 2>err.txt
[ $? = 1 ] || complain "some left out must be exit 1"
grep -q '"n_left_out": 1' mixed.json || complain "one is left out"

expect 2 "--tau must be a number from -100 to 100" "$semcal" tilt toy.yaml --tau nan
expect 2 "--forks must be 0 (none) or 2" "$semcal" tilt toy.yaml --forks 1
expect 2 "--epsilon must lie between 0 and 1" "$semcal" tilt toy.yaml --epsilon 0
expect 2 "--budget must be at least 1" "$semcal" tilt toy.yaml --budget 0
expect 2 "--samples needs --draws" "$semcal" tilt toy.yaml --draws 0 --samples x.jsonl
expect 2 "there is no cell t.d.plain.T2" "$semcal" tilt toy.yaml --cell t.d.plain.T2
expect 2 "has no question 't99'" "$semcal" tilt toy.yaml --question t99
expect 3 "missing/x.jsonl: cannot write" "$semcal" tilt toy.yaml --samples missing/x.jsonl
expect 3 "gone.yaml" "$semcal" tilt gone.yaml
finish
