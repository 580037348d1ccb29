#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Collapse kind `model`: classes of replies that are known, nothing judged twice, the same however it is interrupted or
# split, what was said beside each draw, bad input. A toy judge needs no device; the quickstart's base model one.
. "$(dirname "$0")/run_common.sh"

# dataset FILE PATH: its values, one per line
dataset() { h5dump -A 0 -y -w 1 -d "$2" "$1" | sed -n '/DATA {/,/}/p' | sed '1d;$d;s/^ *//;s/,$//;/^$/d'; }
attribute() { h5dump -a "$2" "$1" | sed -n 's/.*(0): "\(.*\)"/\1/p'; }
# asked RUN: "wanted asked" of every cell judged, one per line
asked() { "$python" -c 'import json, sys
for line in open(sys.argv[1] + "/log.jsonl"):
    row = json.loads(line)
    if row["event"] == "judged":
        print(row["responses"], row["asked"])' "$1"; }
command -v h5dump >/dev/null || { echo "skipped: h5dump is not installed"; exit 77; }

# ---- a judge whose replies are known: it says the word that the response is ----
toy_data 8 0
cat >toy.yaml <<'YAML'
name: toy
seed: 3
models: [{name: t, source: toy}]
datasets:
  - name: d
    path: toy.jsonl
    answers: answer
    id: id
    law: law
    choices: [alfa, bravo, charlie, delta]
    collapse:
      - {kind: model, prompt: "{question}\nlaw: {response}=3 echo=1", max_tokens: 3, then: exact}
      - choice
styles: [plain]
style: {plain: {prompt: "{question}\n", max_tokens: 12, stop: ["\n"]}}
sampling: {draws: 20, temperature: [1.0, 2.0]}
YAML
expect 0 "" "$semcal" run toy.yaml -o toy
cell=toy/cells/t.d.plain.T1.h5
for what in draw_class class_label class_correct confidence_frequency semantic_entropy mode_class; do
  dataset $cell collapse/model/$what >a.txt
  dataset $cell collapse/choice/$what >b.txt
  [ -s a.txt ] && cmp -s a.txt b.txt || complain "$what under a judge that names the word is not that of choice"
done
dataset $cell draw_text | sed 's/" */"/' >a.txt
dataset $cell draw_short_answer >b.txt
[ "$(wc -l <b.txt)" = 160 ] && cmp -s a.txt b.txt || complain "draw_short_answer is not what was said"
dataset $cell collapse/choice/draw_short_answer 2>/dev/null | grep -q . && complain "choice has short answers"
[ "$(attribute $cell collapse/model/judge_model)" = t ] || complain "the file does not say who judged"
[ "$(attribute $cell collapse/model/judge_max_tokens)" = 3 ] || complain "the file does not say how long replies may be"

# once each: distinct responses of both cells together, a line each, the second cell asks for new ones only
"$python" - toy >pairs.txt <<'PY'
import json, sys, glob
lines = open(glob.glob(sys.argv[1] + "/judge/*.jsonl")[0]).read().splitlines()
assert json.loads(lines[0])["judge_prompt"].startswith("{question}"), lines[0]
rows = [json.loads(line) for line in lines[1:]]
assert all(r["short_answer"] == r["response"].strip() for r in rows)
assert len({(r["id"], r["response"]) for r in rows}) == len(rows)
print(len(rows))
PY
[ "$(asked toy | awk '{ w = $1 > w ? $1 : w; n += $2 } END { print n }')" = "$(cat pairs.txt)" ] || complain "asked $(asked toy), stored $(cat pairs.txt)"
asked toy | awk '{ if ($2 < $1) less = 1 } END { exit !less }' || complain "the second cell was asked about everything again"
model_digest=$(attribute $cell collapse/model/collapse_sha256)

# a run that is there is left alone; one that was cut off in the middle of the file of replies goes on
expect 0 "" "$semcal" run toy.yaml -o toy
[ "$(asked toy | wc -l)" = 2 ] || complain "a finished run was judged again"
file=$(echo toy/judge/*.jsonl)
size=$(stat -c %s "$file")
truncate -s $((size / 2)) "$file"
kept=$(grep -c '"check":"[0-9a-f]*"}$' "$file")
expect 0 "" "$semcal" collapse toy --with model
[ "$(asked toy | tail -n 2 | awk '{ n += $2 } END { print n }')" = $(($(cat pairs.txt) - kept)) ] || complain "after a torn file: asked $(asked toy | tail -n 2), kept $kept"
[ "$(attribute $cell collapse/model/collapse_sha256)" = "$model_digest" ] || complain "another digest after a torn file"
# a reply that was changed is not believed
sed -i '0,/"short_answer":"[a-z]*"/s//"short_answer":"zulu"/' "$file"
expect 0 "" "$semcal" collapse toy --with model
[ "$(attribute $cell collapse/model/collapse_sha256)" = "$model_digest" ] || complain "a changed reply was believed"
expect 0 "" "$semcal" verify toy

# in shards, merged, in one cell after the other: the same
for i in 1 2 3; do expect 0 "" "$semcal" run toy.yaml -o shards --shard $i/3; done
[ -d shards/judge ] && complain "a shard was judged"
expect 0 "" "$semcal" merge shards
[ "$(attribute shards/cells/t.d.plain.T1.h5 collapse/model/collapse_sha256)" = "$model_digest" ] || complain "shards are judged otherwise"

# other keys for a stored run: what is unknown is unparsed, what is cut too; then another run with the first settings
expect 0 "" "$semcal" collapse toy --with model --set 'unknown=[alfa, bravo, charlie, delta]'
dataset $cell unparsed | grep -qv '^1$' && complain "unknown replies are parsed"
[ "$(asked toy | tail -n 1 | cut -d' ' -f2)" = 0 ] || complain "another list of unknown replies had them judged again"
expect 0 "" "$semcal" collapse toy --with model --set max_tokens=1
dataset $cell unparsed | grep -qv '^1$' && complain "cut replies are parsed"
expect 0 "" "$semcal" run toy.yaml -o toy
[ "$(attribute $cell collapse/model/collapse_sha256)" = "$model_digest" ] || complain "run does not apply its own judge again"
expect 0 "" "$semcal" analyze toy --collapse model

# enumerated responses and the mechanism are judged like draws
expect 0 "" "$semcal" run toy.yaml -o exact --set sampling.estimator=hybrid --set sampling.temperature=1.0 \
  --set mechanism.questions=3 --set mechanism.positions=2
cell=exact/cells/t.d.plain.T1.h5
for what in response_class confidence_exact confidence_hybrid; do
  dataset $cell collapse/model/$what >a.txt
  dataset $cell collapse/choice/$what >b.txt
  [ -s a.txt ] && cmp -s a.txt b.txt || complain "$what under a judge is not that of choice"
done
dataset $cell response_short_answer | grep -q . || complain "enumerated responses have no short answers"
dataset exact/mechanism/t.d.plain.T1.model.h5 point_confidence >a.txt
dataset exact/mechanism/t.d.plain.T1.choice.h5 point_confidence >b.txt
[ -s a.txt ] && cmp -s a.txt b.txt || complain "intermediate confidences under a judge are not those of choice"
expect 0 "" "$semcal" verify exact
# of more cells than are under way at once, none is judged before its mechanism is made
expect 0 "" "$semcal" run toy.yaml -o many --set mechanism.questions=3 --set mechanism.positions=2 \
  --set 'sampling.temperature=[.5, .6, .7, .8, .9, 1.0, 1.1, 1.2, 1.3]'
[ "$(ls many/mechanism/*.model.h5 | wc -l)" = 9 ] || complain "mechanisms judged: $(ls many/mechanism)"
expect 0 "" "$semcal" verify many

# what it will cost
"$semcal" plan toy.yaml --json 2>/dev/null | "$python" -c 'import json, sys
plan = json.load(sys.stdin)
assert all(0 < c["judge_tokens"] < c["forward_tokens"] for c in plan["cells"]), plan
assert "judge:" in plan["assumptions"]' || complain "plan forgets the judge"
"$semcal" plan toy.yaml --json --set datasets.d.collapse=choice 2>/dev/null | grep -q '"judge_tokens": 0.0' || complain "plan sees a judge where none is"

# ---- bad input ----
expect 2 "dataset 'd': collapse.path: $work/nowhere is no model folder (there is no config.json in it)" \
  "$semcal" run toy.yaml -o bad --set datasets.d.collapse.model.path=nowhere
[ -e bad/cells ] && [ -n "$(ls bad/cells)" ] && complain "a run without its judge has drawn something"
expect 2 "is no model folder" "$semcal" plan toy.yaml --set datasets.d.collapse.model.path=nowhere
expect 2 "is no model folder" "$semcal" collapse toy --with model --judge "$work/no where"
expect 2 "datasets.d.collapse.model.prompt: must contain {question}" "$semcal" run toy.yaml -o bad \
  --set 'datasets.d.collapse.model.prompt="what is this?"'
sed "s/{response}=3 //" toy.yaml >bad.yaml
expect 2 "bad.yaml:12:23: datasets[0].collapse[0].prompt: must contain {response}" "$semcal" run bad.yaml -o bad
expect 2 "--judge and --set are for the kind model" "$semcal" collapse toy --with exact --judge toy
expect 2 "tilt" "$semcal" tilt toy.yaml

# ---- real models: one judges itself, another judges all, and what it says is what Transformers says ----
needs_device
base=$SEMCAL_SOURCE/configs/quickstart/models/base instruct=$SEMCAL_SOURCE/configs/quickstart/models/instruct
"$python" - "$SEMCAL_SOURCE/tests/fixtures/judge/replies.jsonl" "$semcal" "$base" <<'PY' || complain "replies of the base model are not those of Transformers"
import json, subprocess, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
for order in (rows, rows[::-1] + rows):
    lines = "".join(json.dumps({k: r[k] for k in ("question", "response")}) + "\n" for r in order)
    out = subprocess.run([sys.argv[2], "classify", "--kind", "model", "--judge", sys.argv[3]], input=lines, text=True,
                         check=True, capture_output=True).stdout.splitlines()
    assert len(out) == len(order)
    for row, line in zip(order, out):
        got = json.loads(line)
        assert got["short_answer"] == row["short_answer"], (row, got)
        assert got["parsed"] == (not row["cut"] and row["short_answer"].strip(" .,") != "") , (row, got)
PY
model_data 6 10 '\n'
sed -i "s|models: .*|models: [{name: base, path: $base}, {name: instruct, path: $instruct, kind: instruct}]|
        s|collapse: exact|collapse: [{kind: model, max_tokens: 8, prompt: \"Q: {question} {response}\\\\nShort answer:\"}, exact]|" model.yaml
expect 0 "name one judge for all with collapse.path" "$semcal" run model.yaml -o own
[ "$(ls own/judge | wc -l)" = 2 ] || complain "two models that judge themselves are $(ls own/judge | wc -l) judges"
own=$(attribute own/cells/base.world.concise.T1.h5 collapse/model/judge_model_sha256)
[ "$own" = "$(attribute own/cells/base.world.concise.T1.h5 model_sha256)" ] || complain "base does not judge itself"
expect 0 "" "$semcal" run model.yaml -o one --set "datasets.world.collapse.model.path=$base"
[ "$(ls one/judge | wc -l)" = 1 ] || complain "one judge is $(ls one/judge | wc -l) judges"
for cell in base instruct; do
  [ "$(attribute one/cells/$cell.world.concise.T1.h5 collapse/model/judge_model_sha256)" = "$own" ] || complain "base does not judge $cell"
done
for what in draw_short_answer draw_class; do
  cmp -s <(dataset own/cells/base.world.concise.T1.h5 $what) <(dataset one/cells/base.world.concise.T1.h5 $what) ||
    complain "$what: base judges otherwise under another name"
done
# the same by a later collapse, also where only exact was asked for, and on small batches of a device with little memory
expect 0 "" "$semcal" run model.yaml -o late --set 'datasets.world.collapse=exact'
expect 0 "" "$semcal" collapse late --with model --judge "$base" --set max_tokens=8 --set kv_memory=1M \
  --set 'prompt="Q: {question} {response}\nShort answer:"'
for cell in base instruct; do
  a=$(attribute one/cells/$cell.world.concise.T1.h5 collapse/model/collapse_sha256)
  b=$(attribute late/cells/$cell.world.concise.T1.h5 collapse/model/collapse_sha256)
  [ -n "$a" ] && [ "$a" = "$b" ] || complain "$cell judged later has another digest"
done
# through a chat template the prompt is another one
expect 0 "" "$semcal" collapse late --with model --judge "$base" --set chat=chatml --set max_tokens=8
[ "$(attribute late/cells/base.world.concise.T1.h5 collapse/model/judge_chat)" = chatml ] || complain "no chat template around the judge's prompt"
expect 3 "more than its context of 512" "$semcal" collapse late --with model --set max_tokens=500
finish
