# SPDX-License-Identifier: Apache-2.0
# bash completion for semcal. Commands, options, kinds and keys are asked of the program itself, so they are always its own.

_semcal_list() { # commands | options COMMAND | kinds | keys
  case "$1" in
    commands) "$semcal" --help 2>/dev/null | sed -nE 's/^  ([a-z]+) .*/\1/p' ;;
    options) "$semcal" "$2" --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z0-9-]+).*/\2/p' ;;
    kinds) "$semcal" classify --help 2>/dev/null | sed -nE '/^kinds:/,/^$/s/^  ([a-z]+) .*/\1/p' ;;
    keys) "$semcal" show config 2>/dev/null | sed -nE 's/^([a-z][a-z_.]*)$/\1=/p' ;;
  esac
}

_semcal() {
  local semcal=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=$(_semcal_list commands)
  else
    local command=${COMP_WORDS[1]}
    case "$before" in
      --with | --kind | -k | --collapse) words=$(_semcal_list kinds) ;;
      --gemm) words="auto own clblast bf16" ;;
      --mode) words="exact relplot" ;;
      --set)
        words=$(_semcal_list keys)
        compopt -o nospace 2>/dev/null
        ;;
      *)
        if [[ $word == -* ]]; then
          words=$(_semcal_list options "$command")
        elif [ "$command" = show ] && [ "$COMP_CWORD" -eq 2 ]; then
          words="config devices"
        elif [ "$command" = bench ] && [ "$COMP_CWORD" -eq 2 ]; then
          words=$("$semcal" bench --help 2>/dev/null | sed -nE '1s/^usage: semcal bench ([a-z|]+).*/\1/p' | tr '|' ' ')
        fi
        ;;
    esac
  fi
  # without words of its own the shell completes file names (complete -o default)
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _semcal semcal
