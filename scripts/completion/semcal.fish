# SPDX-License-Identifier: Apache-2.0
# fish completion for semcal. Commands, options, kinds and keys are asked of the program itself, so they are always its own.

function __semcal_commands
    semcal --help 2>/dev/null | sed -nE '/^commands:/,/^$/s/^  ([a-z]+) +(.*)/\1\t\2/p'
end

function __semcal_options
    set -l words (commandline -opc)
    test (count $words) -ge 2; or return
    semcal $words[2] --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z0-9-]+).*/\2/p'
end

function __semcal_kinds
    semcal classify --help 2>/dev/null | sed -nE '/^kinds:/,/^$/s/^  ([a-z]+) .*/\1/p'
end

function __semcal_keys
    semcal show config 2>/dev/null | sed -nE 's/^([a-z][a-z_.]*)$/\1=/p'
end

function __semcal_after
    contains -- (commandline -opc)[-1] $argv
end

complete -c semcal -n __fish_use_subcommand -f -a '(__semcal_commands)'
complete -c semcal -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -f -a '(__semcal_options)'
complete -c semcal -n '__semcal_after --with --kind -k --collapse' -f -a '(__semcal_kinds)'
complete -c semcal -n '__semcal_after --set' -f -a '(__semcal_keys)'
complete -c semcal -n '__fish_seen_subcommand_from show; and __semcal_after show' -a 'config devices'
