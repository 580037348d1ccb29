#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mechanism interrupted anywhere, or made by shards and merged, is bit for bit that of one run; verify sees every
# fault of it.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
command -v h5dump >/dev/null || { echo "skipped: h5dump is not installed"; exit 77; }
toy_data 30 30
cat >>toy.yaml <<'YAML'
mechanism: {questions: 24, draws: 2, positions: 4, forks: 32, max_forward_tokens: 0}
YAML
sed -i 's/max_tokens: 12/max_tokens: 50/' toy.yaml
# every question is committed by itself, but where it says otherwise
sed -i 's/commit_seconds: 0.2/commit_seconds: 0.000001/' toy.yaml
cell=t.d.plain.T1
# what stands for everything that was generated
everything() { "$semcal" verify "$1" 2>/dev/null | sed -n 's/.*everything generated, //p'; }
of() { h5dump -a "$1" "$2" 2>/dev/null | sed -n 's/.*(0): "\(.*\)"/\1/p'; }

began=$(date +%s%N)
"$semcal" run toy.yaml -o whole 2>err.txt || complain "the uninterrupted run failed: $(tail -n 1 err.txt)"
took_ms=$((($(date +%s%N) - began) / 1000000))
"$semcal" verify whole >out.txt 2>&1 || complain "verify: $(cat out.txt)"
grep -q "mechanism/$cell.h5: ok, 24 questions" out.txt || complain "verify says nothing of the mechanism: $(cat out.txt)"
grep -q "mechanism/$cell.choice.h5: ok, 24 questions under 'choice'" out.txt || complain "verify says nothing of its collapse"
want=$(everything whole)
[ -n "$want" ] || complain "verify tells no digest of the run"
[ ! -e whole/mechanism/$cell.parts ] || complain "the parts were left behind"

# kill -9: at most the question in flight is lost, as each is committed by itself
RANDOM=5
kills=0 parts=0
for round in 1; do
  rm -rf broken
  for attempt in $(seq 1 6); do
    had=$(ls broken/mechanism/$cell.parts 2>/dev/null | grep -c 'h5$')
    "$semcal" run toy.yaml -o broken >/dev/null 2>err.txt &
    pid=$!
    # some questions later, wherever the run is then
    wanted=$((had + 1 + RANDOM % 6))
    for _ in $(seq 1 3000); do
      [ "$(ls broken/mechanism/$cell.parts 2>/dev/null | grep -c 'h5$')" -ge $wanted ] && break
      kill -0 $pid 2>/dev/null || break
      sleep 0.01
    done
    sleep 0.0$((RANDOM % 5))
    kill -9 $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
    code=$?
    [ $code -eq 0 ] && break
    has=$(ls broken/mechanism/$cell.parts 2>/dev/null | grep -c 'h5$')
    if [ -d broken/mechanism/$cell.parts ]; then
      # fewer than before only when they are joined and on their way out
      [ "$has" -ge "$had" ] || [ -e broken/mechanism/$cell.h5 ] ||
        complain "committed questions of the mechanism were lost: $had, then $has"
      [ "$has" -gt 0 ] && parts=$((parts + 1))
      "$semcal" verify broken >out.txt 2>&1
      [ $? -eq 3 ] || complain "verify takes a mechanism that is not finished for good"
      grep -q "questions are committed; semcal run resumes" out.txt || complain "verify: $(cat out.txt)"
    fi
  done
  "$semcal" run toy.yaml -o broken >/dev/null 2>err.txt || complain "round $round does not finish: $(tail -n 1 err.txt)"
  [ "$(everything broken)" = "$want" ] || complain "round $round: another digest after kills"
done
[ $parts -ge 1 ] || complain "no kill of $kills came while the mechanism was made: the test tested nothing"

# commits take what was made since the one before: parts of several questions, with kills between them
parts=0 several=0
every=$(awk "BEGIN { printf \"%.3f\", .00015 * $took_ms }") # some of 24 questions, however slow the machine
for round in 1 2 3; do
  rm -rf broken
  for attempt in 1 2 3 4; do
    had=$(ls broken/mechanism/$cell.parts 2>/dev/null | grep -c 'h5$')
    "$semcal" run toy.yaml -o broken --set store.commit_seconds=$every >/dev/null 2>err.txt &
    pid=$!
    for _ in $(seq 1 3000); do
      [ "$(ls broken/mechanism/$cell.parts 2>/dev/null | grep -c 'h5$')" -gt $had ] && break
      kill -0 $pid 2>/dev/null || break
      sleep 0.01
    done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $? -eq 0 ] && break
    for part in broken/mechanism/$cell.parts/*.h5; do
      [ -e "$part" ] || continue
      parts=$((parts + 1))
      n=$(h5dump -a n_questions "$part" 2>/dev/null | sed -n 's/.*(0): //p')
      [ "${n:-1}" -gt 1 ] && several=$((several + 1))
    done
  done
  "$semcal" run toy.yaml -o broken --set store.commit_seconds=$every >/dev/null 2>err.txt ||
    complain "parts of several questions, round $round, does not finish: $(tail -n 1 err.txt)"
  [ "$(everything broken)" = "$want" ] || complain "another digest from parts of several questions"
done
[ $several -ge 1 ] || complain "none of $parts parts had several questions: the test tested nothing"

# a part whose questions another part has is put aside, a damaged one as well; what they had is made again
rm -rf twice
"$semcal" run toy.yaml -o twice >/dev/null 2>&1 &
pid=$!
for _ in $(seq 1 3000); do
  [ "$(ls twice/mechanism/$cell.parts 2>/dev/null | grep -c 'h5$')" -ge 3 ] && break
  kill -0 $pid 2>/dev/null || break
  sleep 0.01
done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
if [ -e twice/mechanism/$cell.parts/000002.h5 ]; then
  cp twice/mechanism/$cell.parts/000001.h5 twice/mechanism/$cell.parts/000017.h5
  printf 'X' | dd of=twice/mechanism/$cell.parts/000002.h5 bs=1 seek=3000 conv=notrunc 2>/dev/null
else
  complain "no kill while parts were there: the test tested nothing"
fi
"$semcal" run toy.yaml -o twice >/dev/null 2>err.txt || complain "parts that are there twice: $(tail -n 1 err.txt)"
[ "$(everything twice)" = "$want" ] || complain "another digest from parts that were there twice or damaged"

# a kill between joining the parts and removing them leaves some behind: the next run removes them
cp -r whole joined
mkdir joined/mechanism/$cell.parts
cp whole/mechanism/$cell.h5 joined/mechanism/$cell.parts/000003.h5
"$semcal" run toy.yaml -o joined >/dev/null 2>err.txt || complain "parts left behind: $(tail -n 1 err.txt)"
[ ! -e joined/mechanism/$cell.parts ] && [ "$(everything joined)" = "$want" ] || complain "parts left behind stay"

# Ctrl-C and SIGTERM in the middle of it
for signal in INT TERM; do
  rm -rf stopped
  "$semcal" run toy.yaml -o stopped >/dev/null 2>err.txt &
  pid=$!
  for _ in $(seq 1 400); do
    [ "$(ls stopped/mechanism/$cell.parts 2>/dev/null | grep -c 'h5$')" -ge 3 ] && break
    kill -0 $pid 2>/dev/null || break
    sleep 0.01
  done
  kill -$signal $pid 2>/dev/null
  wait $pid
  [ $? -eq 130 ] || complain "$signal: not exit 130: $(tail -n 1 err.txt)"
  [ "$(ls stopped/mechanism/$cell.parts | grep -c 'h5$')" -ge 3 ] || complain "$signal lost questions of the mechanism"
  "$semcal" run toy.yaml -o stopped >/dev/null 2>&1 || complain "going on after $signal failed"
  [ "$(everything stopped)" = "$want" ] || complain "another digest after $signal"
done

# shards
for i in 1 2 3; do
  "$semcal" run toy.yaml -o sharded --shard $i/3 >/dev/null 2>err.txt || complain "shard $i: $(tail -n 1 err.txt)"
done
"$semcal" verify sharded >out.txt 2>&1 || complain "verify of shards: $(cat out.txt)"
cp -r sharded lacking
rm lacking/mechanism/$cell.shard-2-of-3.h5
expect 3 "this one has none" "$semcal" merge lacking
"$semcal" merge sharded >out.txt 2>&1 || complain "merge: $(cat out.txt)"
grep -q "3 shards merged with their mechanism" out.txt || complain "merge does not tell of the mechanism"
[ "$(everything sharded)" = "$want" ] || complain "another digest of merged shards"
[ "$(ls sharded/mechanism)" = "$(ls whole/mechanism)" ] || complain "after merge: $(ls sharded/mechanism)"
"$semcal" analyze whole --json >whole.json 2>/dev/null
"$semcal" analyze sharded --json >sharded.json 2>/dev/null
sed 's/sharded/whole/g' sharded.json | cmp -s - whole.json || complain "merged shards have another analysis"

# a shard with no question of the mechanism
for i in 1 2 3; do
  "$semcal" run toy.yaml -o few --set mechanism.questions=2 --shard $i/3 >/dev/null 2>err.txt || complain "few: $(tail -n 1 err.txt)"
done
"$semcal" merge few >out.txt 2>&1 || complain "merge of few: $(cat out.txt)"
"$semcal" verify few >out.txt 2>&1 || complain "verify of few: $(cat out.txt)"
grep -q "mechanism/$cell.h5: ok, 2 questions" out.txt || complain "few: $(cat out.txt)"

# faults
damage() { # damage NAME TEXT COMMAND...: verify of a copy of the run in which COMMAND was done says TEXT
  local text=$2
  rm -rf damaged
  cp -r whole damaged
  shift 2
  "$@"
  "$semcal" verify damaged >out.txt 2>&1
  [ $? -eq 3 ] || complain "verify does not see: $*"
  grep -q "BAD.*$text" out.txt || complain "'$*' gave: $(grep BAD out.txt)"
}
flip() { printf 'X' | dd of="$1" bs=1 seek=3000 conv=notrunc 2>/dev/null; }
damage flip "does not match its sha256" flip damaged/mechanism/$cell.h5
"$semcal" run toy.yaml -o damaged >/dev/null 2>err.txt || complain "a damaged mechanism stops the run: $(tail -n 1 err.txt)"
[ "$(everything damaged)" = "$want" ] || complain "a damaged mechanism was not made again"
damage flip2 "does not match its sha256" flip damaged/mechanism/$cell.choice.h5
damage none "its mechanism is missing" rm damaged/mechanism/$cell.h5
"$semcal" run toy.yaml -o other --set seed=4 >/dev/null 2>&1 || complain "another seed"
damage draws "belongs to other draws" cp other/mechanism/$cell.h5 damaged/mechanism/
damage origin "was made from another mechanism" cp other/mechanism/$cell.choice.h5 damaged/mechanism/
"$semcal" run toy.yaml -o damaged >/dev/null 2>&1
[ "$(everything damaged)" = "$want" ] || complain "a collapse of another mechanism was not made again"
damage cell "holds the mechanism of" cp whole/mechanism/$cell.h5 damaged/mechanism/x.h5
rm damaged/resolved.yaml damaged/mechanism/x.h5
expect 0 "" "$semcal" verify damaged
grep -q "there is no resolved.yaml" out.txt || complain "verify does not say that completeness was not checked"
echo "$kills kills, $parts of them in the mechanism, $took_ms ms"
finish
