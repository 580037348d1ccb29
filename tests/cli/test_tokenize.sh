#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# semcal tokenize: formats in both directions, special tokens, and errors with their place and exit code.
set -euo pipefail
model=$SEMCAL_SOURCE/tests/fixtures/tokenizers/added
failed=0

expect() { # WHAT WANTED GOT
    if [[ "$2" != "$3" ]]; then
        printf '%s:\n  expected %q\n  got      %q\n' "$1" "$2" "$3"
        failed=1
    fi
}

ids=$(printf 'hello world\n\n x\n' | "$SEMCAL" tokenize "$model")
expect "three lines" 3 "$(wc -l <<<"$ids")"
expect "an empty line has no ids" "" "$(sed -n 2p <<<"$ids")"
expect "back again" $' hello world\n\n x' "$("$SEMCAL" tokenize --decode "$model" <<<"$ids")"

json=$(printf '{"text":"a\\nb"}\n\n{"text":""}\n' | "$SEMCAL" tokenize "$model" --json)
expect "JSON" "2" "$(wc -l <<<"$json")"
expect "JSON of nothing" '{"ids":[]}' "$(sed -n 2p <<<"$json")"
expect "JSON back" $'{"text":" a\\nb"}\n{"text":""}' "$("$SEMCAL" tokenize "$model" --json --decode <<<"$json")"

with=$(echo hi | "$SEMCAL" tokenize "$model" --special)
without=$(echo hi | "$SEMCAL" tokenize "$model")
expect "special tokens go around" "331 $without 332" "$with"
expect "and are left out" " hi" "$("$SEMCAL" tokenize "$model" --decode <<<"$with")"
expect "or written out" "<s> hi</s>" "$("$SEMCAL" tokenize "$model" --decode --special <<<"$with")"
expect "bytes that are no text" $'\xEF\xBF\xBD' "$("$SEMCAL" tokenize --decode "$SEMCAL_SOURCE/tests/fixtures/tokenizers/gpt2" <<<"128")"

refuse() { # STATUS TEXT ARGUMENTS... (standard input is passed on)
    local status=$1 text=$2 message got=0
    shift 2
    message=$("$SEMCAL" tokenize "$@" 2>&1 >/dev/null) || got=$?
    expect "exit of: $*" "$status" "$got"
    if [[ "$message" != *"$text"* || $(wc -l <<<"$message") != 1 ]]; then
        printf 'message of: %s\n  expected one line with %q\n  got      %q\n' "$*" "$text" "$message"
        failed=1
    fi
}

printf 'good\nb\xffd\n' | refuse 3 'standard input:2: byte 1 (0xFF): not valid UTF-8' "$model"
printf '{"txt":"a"}\n' | refuse 3 'standard input:1: text: must be a string' "$model" --json
printf '{"text":"a"\n' | refuse 3 'standard input:1: column' "$model" --json
printf '1 x\n' | refuse 3 'standard input:1: "x": must be a token id' "$model" --decode
printf '1 99999\n' | refuse 3 'id 99999: the tokenizer has no such token' "$model" --decode
printf '{"ids":[1.5]}\n' | refuse 3 'ids[0]: must be a token id' "$model" --decode --json
refuse 3 'tokenizer.json' "$SEMCAL_SOURCE/tests/fixtures" </dev/null
refuse 2 "did you mean '--decode'?" "$model" --decoed </dev/null
refuse 2 'too few operands' </dev/null
"$SEMCAL" tokenize --help | grep -q -- --special || failed=1
exit "$failed"
