#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Names and texts that anyone may have written reach the terminal as visible characters, never as escape sequences.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
escape=$(printf '\033')
harmless() { # harmless NAME: neither stream of the command before has a control character
  for stream in out.txt err.txt; do
    ! LC_ALL=C grep -q "$escape" $stream || complain "$1: an escape sequence in $stream: $(LC_ALL=C grep -n "$escape" $stream | head -n 1 | cat -v)"
  done
}
shown() { grep -q "$(printf '\342\220\233')" out.txt err.txt || complain "$1: the escape is not shown as a visible character"; }

# a question's id and text, in an error of the run
toy_data 5
"$python" - <<'PY'
import json
rows = [json.loads(line) for line in open("toy.jsonl")]
rows[2]["id"] = "bad \x1b[31mid\x1b]0;title\x07"
rows[2]["question"] = "law: alfa=\x1b[2Jx"
open("toy.jsonl", "w").writelines(json.dumps(r) + "\n" for r in rows)
PY
expect 3 "bad" "$semcal" run toy.yaml -o run
harmless run
expect 0 "" "$semcal" run toy.yaml -o again --set datasets.d.limit=2

# a model's config.json
mkdir broken
cp "${SEMCAL_SOURCE:?}"/configs/quickstart/models/base/* broken/
"$python" - <<'PY'
import json
config = json.load(open("broken/config.json"))
config["architectures"] = ["\x1b[5mBlink"]
config["model_type"] = "\x1b[5mblink"
json.dump(config, open("broken/config.json", "w"))
PY
sed "s/models: .*/models: [{name: m, path: broken}]/" toy.yaml >model.yaml
"$semcal" run model.yaml -o model >out.txt 2>err.txt
[ $? -eq 0 ] && complain "a model of no known kind ran"
harmless "run of a bad model"
"$semcal" plan model.yaml >out.txt 2>err.txt
harmless "plan of a bad model"

# names and texts in files that show looks at
"$python" - <<'PY'
import json, struct
header = json.dumps({"\x1b[31mweight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                     "__metadata__": {"by": "\x1b[2Jme"}}).encode()
open("t.safetensors", "wb").write(struct.pack("<Q", len(header)) + header + b"\0" * 4)
try:
    import h5py
    with h5py.File("t.h5", "w") as f:
        f.attrs["note"] = "\x1b[31mred"
        f["\x1b[31mdata"] = [1.0]
        f["\x1b[31mdata"].attrs["long_name"] = "\x1b[2Jlong"
except ImportError:
    pass
PY
for file in t.safetensors t.h5; do
  [ -e $file ] || continue
  expect 0 "" "$semcal" show $file
  harmless "show $file"; shown "show $file"
done
finish
