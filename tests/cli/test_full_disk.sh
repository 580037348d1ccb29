#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No room left: the run stops at once with one line and exit 3 instead of failing cell by cell, and goes on later.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
# sanitizers: whole stacks, for the suppression of what HDF5 leaks when a write fails
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}fast_unwind_on_malloc=0
toy_data 200 4
sed -i 's/draws: 20/draws: 20, temperature: [1, 0.9, 0.8, 0.7]/' toy.yaml
"$semcal" run toy.yaml -o whole 2>/dev/null || complain "the run with room failed"
if mkdir small && mount -t tmpfs -o size=1200k tmpfs small 2>/dev/null; then
  trap 'umount "$work/small" 2>/dev/null; rm -rf "$work"' EXIT
  head -c 1100000 /dev/zero >small/fill
  expect 3 "no room left for small/run" "$semcal" run toy.yaml -o small/run
  cp err.txt full.txt
  rm small/fill
  mount -o remount,size=64m small
else
  # a limit on the size of files is met by the same calls
  mkdir -p small
  (ulimit -f 16; trap '' XFSZ; "$semcal" run toy.yaml -o small/run >/dev/null 2>full.txt; echo $? >code.txt)
  [ "$(cat code.txt)" = 3 ] || complain "no room gave exit $(cat code.txt): $(tail -n 1 full.txt)"
  grep -q "no room left for small/run" full.txt || complain "no room: $(tail -n 1 full.txt)"
fi
[ "$(grep -c "failed\|no room" full.txt)" -eq 1 ] || complain "more than one line tells of it: $(cat full.txt)"
expect 0 "" "$semcal" run toy.yaml -o small/run
[ "$("$semcal" verify small/run | tail -n 1 | sed 's/.*, //')" = "$("$semcal" verify whole | tail -n 1 | sed 's/.*, //')" ] ||
  complain "another digest after a full disk"
finish
