#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The man pages are those of this program: every option, key and variable, and no other.
set -u
semcal=${SEMCAL:?}
python=${SEMCAL_PYTHON:-python3}
pages=${SEMCAL_SOURCE:?}/scripts/man
"$python" -c 'import h5py' 2>/dev/null || { echo "skipped: $python has no h5py"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
complain() { echo "FAILED: $1" >&2; failures=$((failures + 1)); }

"$python" "$pages/make.py" "$semcal" "$work" || { echo "make.py failed" >&2; exit 1; }
for page in semcal.1 semcal-config.5 semcal-results.5; do
  diff -u "$pages/$page" "$work/$page" >"$work/diff" ||
    { head -n 40 "$work/diff" >&2; complain "$page is not of this program: python3 scripts/man/make.py PROGRAM scripts/man"; }
done

# make.py itself is held to what the program says, by another way
plain() { sed -e 's/\\-/-/g; s/\\e/\\/g' "$pages/$1"; }
for command in $("$semcal" --help | sed -nE '/^commands:/,/^$/s/^  ([a-z]+) .*/\1/p'); do
  plain semcal.1 | sed -n "/^\.SS $command\$/,/^\.S[SH] /p" >"$work/section"
  for option in $("$semcal" "$command" --help | sed -nE 's/^ +(-., )?(--[a-z0-9-]+).*/\2/p'); do
    grep -qE "^\.B (-., )?$option( |\$)" "$work/section" || complain "semcal.1: $command $option is missing"
  done
done
n=$("$semcal" show config | grep -cE '^[a-z][][A-Za-z_.]*$')
[ "$n" -gt 40 ] && [ "$(plain semcal-config.5 | grep -cE '^\.B [a-z][][A-Za-z_.]*$')" -ge "$n" ] || complain "semcal-config.5 lacks keys"
for name in draw_class node_logprob confidence_split node_logprob_raw law_probability smece_floor curve top_weight sample_logmass \
  visit_position point_unexplored response_weight spread_by_fraction point_confidence logits logits_target; do
  grep -q "^\.B $name\$" "$pages/semcal-results.5" || complain "semcal-results.5: $name is missing"
done
if command -v man >/dev/null; then
  for page in semcal.1 semcal-config.5 semcal-results.5; do
    said=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$pages/$page" 2>&1 >/dev/null)
    [ -z "$said" ] || complain "$page: $said"
  done
fi
[ "$failures" -eq 0 ] || { echo "$failures check(s) failed" >&2; exit 1; }
echo "all checks passed"
