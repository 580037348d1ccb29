#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# THEORY.md names the test of every formula: they exist, and CTest runs them.
set -u
cd "${SEMCAL_SOURCE:?}"
failures=0
complain() { echo "FAILED: $1" >&2; failures=$((failures + 1)); }

tests=$(grep -oE 'tests/[a-z]+/[A-Za-z0-9_.]+' THEORY.md | sort -u)
[ "$(wc -l <<<"$tests")" -ge 15 ] || complain "THEORY.md names only $(wc -l <<<"$tests") tests"
for test in $tests; do
  [ -f "$test" ] || complain "$test does not exist"
  case "$test" in
    tests/unit/test_* | tests/law/test_* | tests/kernel/test_* | tests/cli/test_* | tests/slow/test_*) ;;
    *) complain "$test is no test that CTest runs" ;;
  esac
done

# every displayed formula is followed by a test before the next heading
awk '/^## /{ if (open) print section; open = 0; section = $0 } /\$\$/{ open = 1 } /\[tests\//{ open = 0 } END { if (open) print section }' THEORY.md |
  while read -r section; do echo "$section: a formula without a test"; done | grep . >&2 && complain "formulas without tests"
[ "$failures" -eq 0 ] || { echo "$failures check(s) failed" >&2; exit 1; }
echo "all checks passed: $(wc -l <<<"$tests") tests named"
