#compdef semcal
# SPDX-License-Identifier: Apache-2.0
# zsh completion for semcal. Commands, options, kinds and keys are asked of the program itself, so they are always its own.

_semcal() {
  local semcal=${words[1]} command=${words[2]} before=${words[CURRENT - 1]}
  local -a list
  if (( CURRENT == 2 )); then
    list=(${(f)"$($semcal --help 2>/dev/null | sed -nE 's/^  ([a-z]+) +(.*)/\1:\2/p')"})
    _describe command list
    return
  fi
  case $before in
    --with | --kind | -k | --collapse)
      list=(${(f)"$($semcal classify --help 2>/dev/null | sed -nE '/^kinds:/,/^$/s/^  ([a-z]+) +(.*)/\1:\2/p')"})
      _describe kind list
      return ;;
    --gemm) compadd auto own clblast bf16; return ;;
    --mode) compadd exact relplot; return ;;
    --set)
      list=(${(f)"$($semcal show config 2>/dev/null | sed -nE 's/^([a-z][a-z_.]*)$/\1=/p')"})
      compadd -S '' -a list
      return ;;
  esac
  if [[ ${words[CURRENT]} == -* ]]; then
    list=(${(f)"$($semcal $command --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z0-9-]+)( [^ ]+)? +(.*)/\2:\4/p')"})
    _describe option list
  elif [[ $command == show && $CURRENT == 3 ]]; then
    compadd config devices
    _files
  elif [[ $command == bench && $CURRENT == 3 ]]; then
    compadd ${(s:|:)"$($semcal bench --help 2>/dev/null | sed -nE '1s/^usage: semcal bench ([a-z|]+).*/\1/p')"}
  else
    _files
  fi
}

if [[ ${funcstack[1]} == _semcal ]]; then
  _semcal "$@"
fi
