#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prompts of more than two chunks of attention and groups of seven heads, under gemm: bf16 (cl/attention_chunk.h): the same
# draws after a kill, in shards, prefix by prefix, and with the processor's products imitated.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
needs_device
cell=base.long.plain.T1
"$python" - "$SEMCAL_SOURCE/configs/quickstart" <<'PY'
import json, pathlib, random, shutil, struct, sys
quickstart = pathlib.Path(sys.argv[1])
base, folder = quickstart / "models/base", pathlib.Path("model")
folder.mkdir()
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(base / name, folder)
width, heads, head, mlp, layers = 64, 7, 32, 96, 2
config = json.loads((base / "config.json").read_text())
config |= {"hidden_size": width, "intermediate_size": mlp, "num_hidden_layers": layers, "num_attention_heads": heads,
           "num_key_value_heads": 1, "head_dim": head, "max_position_embeddings": 1024}
(folder / "config.json").write_text(json.dumps(config))
rng = random.Random(5)
shapes = {"model.embed_tokens.weight": (config["vocab_size"], width), "model.norm.weight": (width,)}
for i in range(layers):
    p = f"model.layers.{i}."
    shapes |= {p + "input_layernorm.weight": (width,), p + "post_attention_layernorm.weight": (width,),
               p + "self_attn.q_proj.weight": (heads * head, width), p + "self_attn.k_proj.weight": (head, width),
               p + "self_attn.v_proj.weight": (head, width), p + "self_attn.o_proj.weight": (width, heads * head),
               p + "mlp.gate_proj.weight": (mlp, width), p + "mlp.up_proj.weight": (mlp, width),
               p + "mlp.down_proj.weight": (width, mlp)}
header, data = {}, b""
for name, shape in shapes.items():
    n = shape[0] * (shape[1] if len(shape) > 1 else 1)
    scale = 1 / shape[1] ** .5 if len(shape) > 1 else 0
    bits = (struct.unpack("<I", struct.pack("<f", rng.gauss(0, scale) if scale else 1.0))[0] >> 16 for _ in range(n))
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + 2 * n]}
    data += struct.pack(f"<{n}H", *bits)
text = json.dumps(header).encode()
(folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
rows = [json.loads(line) for line in open(quickstart / "data/world.jsonl", encoding="utf-8")]
with open("long.jsonl", "w", encoding="utf-8") as out:
    for i in range(4):
        asked = " ".join(row["question"] for row in rows[30 * i:30 * i + 30 + i])
        print(json.dumps({"id": f"q{i}", "question": asked, "answers": ["pear"]}), file=out)
PY
cat >long.yaml <<'YAML'
name: long
seed: 11
models: [{name: base, path: model, kind: base, gemm: bf16}]
datasets: [{name: long, path: long.jsonl, id: id, question: question, answers: answers, collapse: exact}]
styles: [plain]
style: {plain: {prompt: "{question}", max_tokens: 6}}
sampling: {draws: 12}
store: {commit_seconds: 0.2}
YAML
"$python" -c 'import json; [print(json.loads(line)["question"]) for line in open("long.jsonl")]' | "$semcal" tokenize model |
  awk 'NF < 520 || NF > 1000 { print "FAILED: a prompt of " NF " tokens" > "/dev/stderr"; bad = 1 } END { exit bad }' || failures=$((failures + 1))

expect 0 "" "$semcal" run long.yaml -o whole
whole=$(digest whole $cell)
[ ${#whole} -eq 64 ] || complain "the digest is '$whole'"
told=
grep -qw avx512_bf16 /proc/cpuinfo && told="attention is used" # elsewhere it is what runs anyway
expect 0 "$told" env SEMCAL_SELFTEST_FAIL=attention_bf16 "$semcal" run long.yaml -o imitated
[ "$(digest imitated $cell)" = "$whole" ] || complain "imitating the processor's products changes draws"
same_draws whole $cell "$whole" "$semcal" run long.yaml
finish
