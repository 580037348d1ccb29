#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Output that cannot be written is an error, long or short: exit 3 and one line.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
[ -c /dev/full ] || { echo "skipped: there is no /dev/full"; exit 77; }
printf 'confidence,correct\n0.5,1\n0.7,0\n' >pairs.csv
yes '{"response":"a"}' | head -n 5000 >responses.jsonl

refuses() {
  "$@" >/dev/full 2>err.txt </dev/stdin
  local got=$?
  [ "$got" -eq 3 ] || complain "'$*' exited with $got, expected 3"
  [ "$(wc -l <err.txt)" -eq 1 ] && grep -q "standard output: cannot write" err.txt || complain "'$*' said: $(cat err.txt)"
}
refuses "$semcal" --help
refuses "$semcal" version
refuses "$semcal" show config
refuses "$semcal" show config --json
refuses "$semcal" calibrate pairs.csv --bootstrap 0 --floor 0 --gaps 0
refuses "$semcal" classify --kind exact <responses.jsonl
refuses "$semcal" classify --help
finish
