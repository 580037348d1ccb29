#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shell completion offers what the program knows: bash by calling the function, zsh (when it is there) by loading it.
set -u
semcal=${SEMCAL:?}
failures=0
complain() { echo "FAILED: $1" >&2; failures=$((failures + 1)); }
PATH=$(dirname "$semcal"):$PATH
source "${SEMCAL_SOURCE:?}/scripts/completion/semcal.bash"

offered() { # words of a line, the last one being completed
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMPREPLY=()
  _semcal 2>/dev/null
  printf '%s\n' "${COMPREPLY[@]}"
}
same() { # WHAT EXPECTED GOT
  [ "$2" = "$3" ] || complain "$1: expected '$2', got '$3'"
}

commands=$("$semcal" --help | sed -nE '/^commands:/,/^$/s/^  ([a-z]+) .*/\1/p')
[ "$(wc -l <<<"$commands")" -ge 8 ] || complain "--help lists too few commands: the test itself is broken"
same "commands" "$commands" "$(offered semcal '')"
same "a command begun" "calibrate" "$(offered semcal cali)"
while read -r command; do
  options=$("$semcal" "$command" --help | grep -oE '^ +(-., )?--[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+')
  same "options of $command" "$options" "$(offered semcal "$command" --)"
done <<<"$commands"
same "kinds" "numeric" "$(offered semcal classify --kind nu)"
same "keys" "sampling.draws=" "$(offered semcal plan x.yaml --set sampling.dr)"
same "what to show" "devices" "$(offered semcal show d)"
same "files are left to the shell" "" "$(offered semcal calibrate pai)"
complete -p semcal | grep -q -- '-o default' || complain "file names are not completed"

if command -v zsh >/dev/null; then
  out=$(cd "$(mktemp -d)" && cp "$SEMCAL_SOURCE/scripts/completion/semcal.zsh" _semcal && zsh -f -c '
    fpath=($PWD $fpath)
    autoload -Uz compinit && compinit -u -d ./dump || exit 1
    [[ $_comps[semcal] == _semcal ]] || exit 2
    _describe() { print -l -- "${(@P)2}" }
    compadd() { print -l -- "$@" }
    _files() { print FILES }
    words=(semcal "") CURRENT=2
    _semcal
    words=(semcal calibrate --) CURRENT=3
    _semcal
    words=(semcal calibrate "") CURRENT=3
    _semcal') || complain "zsh cannot load the completion ($?)"
  grep -q '^calibrate:calibration of a table' <<<"$out" || complain "zsh: no commands"
  grep -q '^--bootstrap:replicates' <<<"$out" || complain "zsh: no options"
  grep -q '^FILES$' <<<"$out" || complain "zsh: no files"
else
  echo "zsh is not installed: its completion was not tried"
fi
if command -v fish >/dev/null; then
  offers() { fish -c "source '$SEMCAL_SOURCE/scripts/completion/semcal.fish'; complete -C '$1'" | cut -f 1; }
  same "fish: a command" "calibrate" "$(offers 'semcal cali')"
  same "fish: an option" "--collapse" "$(offers 'semcal analyze --coll')"
  same "fish: a kind" "numeric" "$(offers 'semcal collapse --with nu')"
  same "fish: a key" "sampling.draws=" "$(offers 'semcal plan x.yaml --set sampling.dr')"
else
  echo "fish is not installed: its completion was not tried"
fi
[ "$failures" -eq 0 ] || { echo "$failures check(s) failed" >&2; exit 1; }
echo "all checks passed"
