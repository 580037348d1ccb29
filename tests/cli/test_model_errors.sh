#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What can be wrong with a model, a device or a disk: one clear line, the documented exit code, nothing lost.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
base=$SEMCAL_SOURCE/configs/quickstart/models/base
[ -s "$base/model.safetensors" ] || { complain "the quickstart model is not there"; finish; }

cat >ask.jsonl <<'J'
{"id": "a", "question": "What?", "answer": "apple"}
{"id": "b", "question": "Why?", "answer": "fig"}
J
cat >ask.yaml <<'Y'
name: ask
models: [{name: m, path: model}]
datasets: [{name: d, path: ask.jsonl, id: id, question: question, answers: answer, collapse: choice, choices: [apple, fig]}]
styles: [concise]
style: {concise: {prompt: "Q: {question}\nShort answer:", max_tokens: 4, shots: 0}}
sampling: {draws: 5}
Y
fresh() { rm -rf model run; cp -r "$base" model; }
edit_config() { "$python" - "$@" <<'PY'
import json, sys
config = json.load(open("model/config.json"))
for pair in sys.argv[1:]:
    key, value = pair.split("=", 1)
    config[key] = json.loads(value)
json.dump(config, open("model/config.json", "w"))
PY
}

fresh
expect 0 "1 of 1 cells done" "$semcal" run ask.yaml -o run
expect 2 "another configuration" "$semcal" run ask.yaml -o run --set models.m.path=other
mv model/model.safetensors model/away
expect 3 "model.safetensors" "$semcal" run ask.yaml -o run2
fresh; head -c 100000 "$base/model.safetensors" >model/model.safetensors
expect 3 "model.safetensors" "$semcal" run ask.yaml -o run3
expect 3 "model.safetensors" "$semcal" score model --input ask.jsonl
fresh; : >model/model.safetensors
expect 3 "model.safetensors" "$semcal" run ask.yaml -o run4
fresh; edit_config 'architectures=["MambaForCausalLM"]' 'model_type="mamba"'
expect 3 "amba" "$semcal" run ask.yaml -o run5
fresh; edit_config 'hidden_size=96'
expect 3 "expected" "$semcal" run ask.yaml -o run6
fresh; echo '{' >model/config.json
expect 3 "config.json" "$semcal" run ask.yaml -o run7
fresh; rm model/tokenizer.json
expect 3 "tokenizer.json" "$semcal" run ask.yaml -o run8
fresh; "$python" - <<'PY'
import json, struct
data = bytearray(open("model/model.safetensors", "rb").read())
n = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + n])
name = sorted(k for k in header if k.endswith("mlp.down_proj.weight"))[0]
at = 8 + n + header[name]["data_offsets"][0] + 20
data[at:at + 2] = b"\xc0\x7f"   # a bf16 NaN
open("model/model.safetensors", "wb").write(data)
PY
expect 5 "down_proj" "$semcal" run ask.yaml -o run9

# the context: a question too long names itself
fresh; edit_config 'max_position_embeddings=12'
expect 3 "context of 12" "$semcal" run ask.yaml -o run10

# devices: none of that name, and one with too little memory
fresh
expect 4 "nosuchdevice" "$semcal" run ask.yaml -o run11 --device nosuchdevice
expect 4 "" "$semcal" run ask.yaml -o run12 --device 77:0
SEMCAL_DEVICE_MEMORY=100K expect 4 "memory" "$semcal" run ask.yaml -o run13

# a full disk: an error that names the file, and the same command goes on when there is room again
if mkdir small && mount -t tmpfs -o size=2000k tmpfs small 2>/dev/null; then
  trap 'umount "$work/small" 2>/dev/null; rm -rf "$work"' EXIT
  head -c 1990000 /dev/zero >small/fill
  expect 3 "small" "$semcal" run ask.yaml -o small/run
  rm small/fill
  expect 0 "" "$semcal" run ask.yaml -o small/run
  expect 0 "" "$semcal" verify small/run
else
  (ulimit -f 8; trap '' XFSZ; "$semcal" run ask.yaml -o full >/dev/null 2>err.txt; echo $? >code.txt)
  [ "$(cat code.txt)" = 3 ] || complain "a full disk gave exit $(cat code.txt): $(tail -n 1 err.txt)"
  expect 0 "" "$semcal" run ask.yaml -o full
fi
finish
