#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at random moments, then the same command again: the same content digest as an uninterrupted run. Ctrl-C stops
# cleanly with exit 130 and loses nothing.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
command -v h5dump >/dev/null || { echo "skipped: h5dump is not installed"; exit 77; }
toy_data 1500 6
cell=t.d.plain.T1
"$semcal" run toy.yaml -o whole 2>/dev/null || complain "the uninterrupted run failed"
want=$(digest whole $cell)

RANDOM=11
kills=0
for round in 1 2 3; do
  rm -rf broken
  for attempt in $(seq 1 12); do
    "$semcal" run toy.yaml -o broken >/dev/null 2>err.txt &
    pid=$!
    sleep "$(printf '0.%03d' $((RANDOM % 350 + 20)))"
    if kill -9 $pid 2>/dev/null; then kills=$((kills + 1)); fi
    wait $pid 2>/dev/null
    code=$?
    [ $code -eq 0 ] && break
    [ $code -eq 137 ] || complain "round $round: exit $code: $(tail -n 1 err.txt)"
  done
  "$semcal" run toy.yaml -o broken >/dev/null 2>err.txt || complain "round $round does not finish: $(tail -n 1 err.txt)"
  [ "$(digest broken $cell)" = "$want" ] || complain "round $round: another content digest after kills"
  "$semcal" verify broken >/dev/null 2>err.txt || complain "round $round: verify: $(tail -n 1 err.txt)"
done
[ $kills -ge 3 ] || complain "only $kills kills hit a living process: the test tested nothing"

# stopped when the first questions are committed; a run that is through before the signal comes is begun again
for again in 1 2 3 4 5 6; do
  rm -rf stopped
  "$semcal" run toy.yaml -o stopped >/dev/null 2>err.txt &
  pid=$!
  until ls stopped/cells/*.segments/*.h5 >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
  kill -INT $pid 2>/dev/null
  wait $pid
  code=$?
  [ $code -eq 0 ] || break
done
[ $code -eq 130 ] || complain "Ctrl-C gave exit $code: $(tail -n 1 err.txt)"
grep -q "everything finished is committed" err.txt || complain "Ctrl-C did not say what happened"
"$semcal" watch --once stopped >out.txt 2>&1
grep -q "^interrupted" out.txt && grep -qE ' [0-9]+/1500  begun$' out.txt || complain "watch after Ctrl-C: $(cat out.txt)"
"$semcal" run toy.yaml -o stopped >/dev/null 2>&1 || complain "going on after Ctrl-C failed"
[ "$(digest stopped $cell)" = "$want" ] || complain "another content digest after Ctrl-C"
echo "$kills kills"
finish
