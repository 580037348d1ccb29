#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rules of the house that a compiler does not check: floors, licence lines, who sees OpenCL and HDF5.
set -u
cd "${SEMCAL_SOURCE:?}"
failures=0
complain() { echo "house: $1" >&2; failures=$((failures + 1)); }

declare -A floor=([cli]=7 [experiment]=6 [sampling]=5 [meaning]=5 [source]=4 [model]=3 [device]=2 [language]=2
                  [formats]=1 [statistics]=1 [base]=0)

# A folder includes itself and lower floors only. Folders of one floor stay apart.
checked=0
for file in host/*/*.c host/*/*.h; do
  folder=$(basename "$(dirname "$file")")
  [ "$folder" = include ] && continue
  [ -n "${floor[$folder]+x}" ] || { complain "$file: folder '$folder' has no floor"; continue; }
  while read -r included; do
    other=${included%%/*}
    [ "$other" = "$folder" ] && continue
    [ -n "${floor[$other]+x}" ] || { complain "$file includes \"$included\": no such folder"; continue; }
    checked=$((checked + 1))
    [ "${floor[$other]}" -lt "${floor[$folder]}" ] || complain "$file (floor ${floor[$folder]}) includes \"$included\" (floor ${floor[$other]})"
  done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+"([^"/]+\/[^"]+)".*/\1/p' "$file")
done
[ "$checked" -gt 20 ] || complain "only $checked includes seen: the check itself is broken"

grep -lE '#[[:space:]]*include[[:space:]]*[<"](CL/|clblast)' -r host | grep -v '^host/device/' | while read -r file; do
  echo "$file sees OpenCL or CLBlast; only host/device may"; done | grep . >&2 && failures=$((failures + 1))
grep -lE '#[[:space:]]*include[[:space:]]*[<"]hdf5' -r host | grep -v '^host/formats/' | while read -r file; do
  echo "$file sees HDF5; only host/formats may"; done | grep . >&2 && failures=$((failures + 1))

while read -r file; do
  head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || complain "$file: no SPDX line"
done < <(find host cl scripts tests -type f \( -name '*.c' -o -name '*.h' -o -name '*.cl' -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' \))

# The library neither prints nor exits; fast-math never appears.
grep -nE '(^|[^a-z_])(printf|puts|exit|abort)\(' -r host --include='*.c' | grep -vE '^host/cli/' |
  grep -vE '(sn|vsn|f)printf' | while read -r line; do echo "library prints or exits: $line"; done | grep . >&2 && failures=$((failures + 1))
grep -nE -e '-cl-(fast-relaxed-math|finite-math-only|unsafe-math)|-ffast-math|-Ofast' -r host cl CMakeLists.txt CMakePresets.json |
  grep -v 'never' | grep . >&2 && complain "fast-math flags"

[ "$failures" -eq 0 ] || { echo "house: $failures rule(s) broken" >&2; exit 1; }
echo "house: $checked includes follow the floors"
