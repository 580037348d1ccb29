#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The estimators of semantic confidence side by side at equal cost, on the toy and on the quickstart's base model:
#   scripts/estimator_table.sh [BUILD [QUESTIONS]]  ->  results/estimators/table.csv and table.md
# The numbers come from tests/slow/test_estimator_table.c, which says what they are.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
questions=${2:-40}
program=$build/tests/slow_test_estimator_table
[ -x "$program" ] || { echo "$program is missing: build first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -e "s|path: quickstart/|path: $root/configs/quickstart/|" -e 's/^styles:.*/styles: [concise]/' \
  "$root/configs/quickstart.yaml" >"$work/quickstart.yaml"
rows() { grep -E '^(toy|model),[0-9]+,'; }
out=$root/results/estimators
mkdir -p "$out"
{
  echo "source,budget,estimator,questions,answered,tokens,bias,rms_error,width,mode_right"
  SEMCAL_TABLE_QUESTIONS=$questions "$program" 2>&1 | rows
  SEMCAL_TABLE=$work/quickstart.yaml SEMCAL_TABLE_QUESTIONS=$questions "$program" 2>&1 | rows
} >"$work/table.csv"
mv "$work/table.csv" "$out/table.csv"

awk -F, -v questions="$questions" '
  BEGIN {
    print "# Estimators of semantic confidence at equal forward tokens"
    print ""
    print "Made by `scripts/estimator_table.sh` (" questions " questions of each source). Budget: forward tokens per question,"
    print "the prompt'"'"'s own not counted; used: what was spent (at most 1500 draws). Error: confidence against the true"
    print "probability of the true mode. Width: 95 % interval (Wilson; for hybrid of the tail alone), for mass and exact the"
    print "certain bounds. Answered: questions with a number; mass needs 90 % of the mass found, exact a certain mode. Where"
    print "fewer than all are answered they are the easy ones: errors there do not compare with those of full rows. The truth"
    print "is an enumeration too, of up to 6000 prefixes: errors below a few thousandths on the model are its own."
    names["toy"] = "Toy: 4 classes, 4 filler words, decided first or last"
    names["model"] = "Quickstart base model, world, concise"
  }
  NR > 1 {
    if ($1 != last) {
      printf "\n## %s\n\n| budget | estimator | answered | used | bias | RMS error | width | right mode |\n|--:|---|--:|--:|--:|--:|--:|--:|\n", names[$1]
      last = $1
    }
    if ($5 > 0) printf "| %s | %s | %s/%s | %s | %s | %s | %s | %s |\n", $2, $3, $5, $4, $6, $7, $8, $9, $10
    else printf "| %s | %s | 0/%s | | | | | |\n", $2, $3, $4
  }' "$out/table.csv" >"$out/table.md"
echo "$out/table.csv"
echo "$out/table.md"
