#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The examples of README.md that are marked <!-- tested --> are run, in order, in one folder, as a reader would.
set -u
semcal=${SEMCAL:?}
python=${SEMCAL_PYTHON:-python3}
source_folder=${SEMCAL_SOURCE:?}
"$semcal" show devices --json 2>/dev/null | grep -q '"name"' || { echo "skipped: no OpenCL device"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
ln -s "$source_folder/configs" configs
mkdir bin blocks
ln -s "$semcal" bin/semcal
PATH=$work/bin:$PATH
failures=0
complain() { echo "FAILED: $1" >&2; failures=$((failures + 1)); }

# block N.sh or N.py for each marked fence
awk '/^<!-- tested -->$/ { marked = 1; next }
     marked && /^```(sh|python)$/ { n++; kind = $0 == "```sh" ? "sh" : "py"; inside = 1; marked = 0; next }
     /^```$/ { inside = 0 }
     inside { print > sprintf("blocks/%02d.%s", n, kind) }' "$source_folder/README.md"
n=$(find blocks -type f | wc -l)
[ "$n" -ge 6 ] || complain "only $n marked examples found: the test itself is broken"
for block in blocks/*; do
  case "$block" in
    *.sh) bash -euo pipefail "$block" >out.txt 2>err.txt ;;
    *.py)
      "$python" -c 'import xarray, h5netcdf' 2>/dev/null || { echo "$block not run: $python has no xarray with h5netcdf"; continue; }
      "$python" "$block" >out.txt 2>err.txt
      ;;
  esac || complain "$(head -n 1 "$block") ...: $(tail -n 3 err.txt)"
  [ -s out.txt ] || complain "$(head -n 1 "$block") ...: prints nothing"
done

# what the quickstart is said to print is what results/quickstart keeps
rows=$(grep -cE '^(base|instruct)\..*\.[0-9]' "$source_folder/README.md")
[ "$rows" -ge 15 ] || complain "only $rows rows of the quickstart found in README.md"
grep -E '^((base|instruct)\.|cell  ).*[a-z0-9]$' "$source_folder/README.md" | grep -vxFf "$source_folder/results/quickstart/table.txt" >out.txt &&
  complain "not in results/quickstart/table.txt: $(cat out.txt)"

# a run in its default folder, results/<name>, leaves a checkout clean; what is committed there is not in its way
if git -C "$source_folder" rev-parse --git-dir >/dev/null 2>&1; then
  for place in .lock-1-of-1 analysis.h5 cells/a.h5 config.yaml log.jsonl mechanism/a.h5 report/index.html resolved.yaml; do
    for name in sums quickstart; do
      git -C "$source_folder" check-ignore -q "results/$name/$place" || complain "git does not ignore results/$name/$place"
      [ -z "$(git -C "$source_folder" ls-files "results/$name/$place")" ] || complain "results/$name/$place is committed"
    done
  done
  git -C "$source_folder" check-ignore -q results/quickstart/slim/analysis.h5 && complain "the committed copy is ignored"
fi

# what it points to exists
for target in $(grep -oE '\]\([A-Za-z0-9_./-]+\)' "$source_folder/README.md" "$source_folder/CONTRIBUTING.md" | sed -E 's/.*\((.*)\)/\1/'); do
  [ -e "$source_folder/$target" ] || complain "a link to $target, which does not exist"
done
for target in $(grep -ohE '`(host|cl|configs|tests|results|scripts)/[A-Za-z0-9_./-]+`' "$source_folder/README.md" "$source_folder/CONTRIBUTING.md" | tr -d '`'); do
  [ -e "$source_folder/$target" ] || complain "$target is mentioned and does not exist"
done
[ "$failures" -eq 0 ] || { echo "$failures check(s) failed" >&2; exit 1; }
echo "all checks passed: $n examples"
