#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `semcal classify`: lines in, lines out, one-line errors, exit codes.
set -u
: "${SEMCAL:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
complain() { echo "classify: $1" >&2; failures=$((failures + 1)); }

# gives EXPECTED INPUT ARGUMENT...: exit 0, exactly that on stdout, nothing on stderr
gives() {
  local expected=$1 input=$2; shift 2
  printf '%s\n' "$input" | "$SEMCAL" classify "$@" > "$work/out" 2> "$work/err"
  local got=$?
  [ "$got" -eq 0 ] || complain "$*: exit $got: $(cat "$work/err")"
  [ ! -s "$work/err" ] || complain "$*: printed on stderr: $(cat "$work/err")"
  [ "$(cat "$work/out")" = "$expected" ] || complain "$* <<< $input: $(cat "$work/out"), expected $expected"
}

# fails CODE MESSAGE INPUT ARGUMENT...: that exit code and a line on stderr that contains the message
fails() {
  local code=$1 message=$2 input=$3; shift 3
  printf '%s\n' "$input" | "$SEMCAL" classify "$@" > "$work/out" 2> "$work/err"
  local got=$?
  [ "$got" -eq "$code" ] || complain "$*: exit $got, expected $code"
  [ "$(wc -l < "$work/err")" -eq 1 ] || complain "$*: not one line on stderr: $(cat "$work/err")"
  grep -qF -- "$message" "$work/err" || complain "$*: stderr $(cat "$work/err"), expected $message"
}

gives '{"class":"1000","parsed":true,"correct":true}' '{"response":"so $1,000.","answers":"#### 1000"}' --kind numeric
gives '{"class":"1000","parsed":true,"correct":true}' '{"response":"so $1,000.","answers":["1","1e3"]}' --kind numeric --json
gives '{"class":"7","parsed":true,"correct":false}' '{"response":"7","answers":8}' -k numeric
gives '{"class":"7","parsed":true,"correct":null}' '{"response":"7","id":"extra members are fine"}' --kind=numeric
gives '{"class":"unparsed","parsed":false,"correct":false}' '{"response":"","answers":"8"}' --kind numeric
gives '{"class":"unparsed","parsed":true,"correct":false}' '{"response":"Unparsed.","answers":"8"}' --kind exact
gives '{"class":"sunset boulevard","parsed":true,"correct":true}' \
  '{"response":"The answer is Sunset Blvd.","question":"?","answers":["Sunset Boulevard","Sunset Blvd"]}' --kind alias
gives '{"class":"a�b","parsed":true,"correct":null}' '{"response":"a\u0000b"}' --kind exact
gives '{"class":"yes","parsed":true,"correct":true}' '{"response":"Yeah!","answers":"yes"}' --kind choice --choices 'yes|yeah, no'
gives '{"class":"no","parsed":true,"correct":null}' '{"response":"nope","choices":["yes",["no","nope"]]}' --kind choice --choices 'a,b'
gives '{"class":"london","parsed":true,"correct":true}' '{"response":"(B)","answers":"London","choices":{"A":"Paris","B":"London"}}' --kind choice
gives '{"class":"london","parsed":true,"correct":true}' '{"response":"(B)","answers":"B","question":"Which? (A) Paris (B) London"}' --kind choice
printf 'yes\tyeah\nno\n' > "$work/list.txt"
gives '{"class":"yes","parsed":true,"correct":null}' '{"response":"yeah"}' --kind choice --choices "$work/list.txt"
gives '' '' --kind exact

fails 2 "did you mean 'numeric'" '' --kind numerc
fails 2 "--judge MODEL_DIR is needed: with kind model a language model names the short answers" '' --kind model
fails 2 "--judge and --set are for the kind model" '' --kind exact --judge "$work"
fails 2 "is no model folder (there is no config.json in it)" '' --kind model --judge "$work/nowhere"
fails 2 "--set datasets[0].collapse.model.prompt: must contain {response}" '' --kind model --judge "$work" --set 'prompt="{question}"'
fails 2 "'{respones}' stands for nothing, did you mean '{response}'?" '' --kind model --judge "$work" --set 'prompt="{question} {respones}"'
fails 2 "unknown key, did you mean 'max_tokens'?" '' --kind model --judge "$work" --set max_token=3
fails 2 "--kind KIND is needed" ''
fails 2 "no file, and no list of choices" '{"response":"x"}' --kind choice --choices "$work/nowhere.txt"
fails 2 "did you mean '--kind'" '' --kid numeric
fails 2 "too many operands" '' --kind numeric file.jsonl
fails 3 "standard input:1: field 'response' missing, did you mean 'respones'?" '{"respones":"x"}' --kind exact
fails 3 "standard input:2:" $'{"response":"x"}\n{bad' --kind exact
[ "$(wc -l < "$work/out")" -eq 1 ] || complain "the lines before a bad one are not written"
fails 3 "standard input:1: a row must be an object, is a list" '[]' --kind exact
fails 3 "standard input:1: field 'response' must be a text, is null" '{"response":null}' --kind exact
fails 3 "standard input:1: field 'answers' must be a text, is an object" '{"response":"x","answers":{}}' --kind exact
fails 3 "standard input:1: collapse kind 'choice' needs a list of choices" '{"response":"x"}' --kind choice
fails 3 "standard input:1: choice 'YES' reads the same as choice 'yes'" '{"response":"x","choices":["yes","YES"]}' --kind choice
fails 3 "standard input:1: a choice must be a text, is an integer" '{"response":"x","choices":[1]}' --kind choice
fails 3 "--choices: a choice without a name" '' --kind choice --choices 'a,,b'
printf '{"response":"\xff"}\n' > "$work/bytes"
"$SEMCAL" classify --kind exact < "$work/bytes" > "$work/out" 2> "$work/err"
[ $? -eq 3 ] || complain "invalid UTF-8 is not an error"

# a hundred thousand lines
seq 100000 | sed 's/.*/{"response":"The answer is &.","answers":"&"}/' | "$SEMCAL" classify --kind numeric |
  grep -c '"correct":true' > "$work/count"
[ "$(cat "$work/count")" = 100000 ] || complain "100000 lines in, $(cat "$work/count") right ones out"

[ "$failures" -eq 0 ] || { echo "classify: $failures failures" >&2; exit 1; }
