# SPDX-License-Identifier: Apache-2.0
"""semcal score: a really trained model against float64 numbers from elsewhere, and what bad input says."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

SEMCAL = os.environ["SEMCAL"]
FIXTURES = os.path.join(os.environ["SEMCAL_SOURCE"], "tests/fixtures/models")


def score(model, lines, *options):
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    done = subprocess.run([SEMCAL, "score", model, "--input", "-", *options], input=text, capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def check(condition, *what):
    if not condition:
        print("FAILED:", *what)
        sys.exit(1)


def refuses(model, lines, code, *texts):
    got, _, message = score(model, lines)
    check(got == code and message.count("\n") == 1 and all(t in message for t in texts), code, texts, got, message)


def trained_model(folder):
    reference = json.load(open(os.path.join(folder, "reference.json")))["cases"]
    lines = [{"tokens": case["prompt_ids"] + case["continuation_ids"]} for case in reference]
    lines += [{"prompt": case["text"], "completion": ""} for case in reference if case["text"] is not None]
    code, out, message = score(folder, lines)
    check(code == 0, message)
    worst = 0.0
    for case, got in zip(reference, out):
        n = len(case["continuation_ids"])
        check(got["tokens"] == case["prompt_ids"] + case["continuation_ids"], case["name"])
        check(len(got["logprobs"]) == len(got["tokens"]) - 1, case["name"])
        for a, b in zip(got["logprobs"][-n:], case["continuation_logprobs"]):
            check(abs(a - b) < 1e-4, case["name"], a, b)
            worst = max(worst, abs(a - b))
    texts = [case for case in reference if case["text"] is not None]
    for case, got in zip(texts, out[len(reference):]):
        check(got["tokens"] == case["prompt_ids"], case["name"], got["tokens"])
    # the whole law after the shortest prompt
    case = min(reference, key=lambda c: len(c["prompt_ids"]))
    code, out, message = score(folder, [{"tokens": case["prompt_ids"] + [v]} for v in range(512)])
    check(code == 0, message)
    for got, b in zip(out, case["log_softmax"]):
        check(abs(got["logprobs"][-1] - b) < 1e-4, case["name"], got["tokens"][-1], got["logprobs"][-1], b)
        worst = max(worst, abs(got["logprobs"][-1] - b))
    print(f"stories260K: largest difference {worst:.1e} nats")
    # a line says the same alone, among others, and by text or by ids; CLBlast agrees within rounding
    lines = [{"prompt": "Once upon a time", "completion": " there was a cat."}, {"prompt": "", "completion": "The"}]
    code, both, message = score(folder, lines)
    check(code == 0, message)
    check(score(folder, lines[:1])[1] == both[:1])
    check(score(folder, [{"tokens": both[0]["tokens"]}])[1] == both[:1])
    code, other, message = score(folder, lines, "--gemm", "clblast")
    check(code == 0, message)
    check(max(abs(a - b) for a, b in zip(other[0]["logprobs"], both[0]["logprobs"])) < 1e-4)
    refuses(folder, ['{"prompt": "a"}'], 3, "standard input:1", "completion")
    refuses(folder, [{"tokens": [1]}, {"tokens": [512]}], 3, "standard input:2", "tokens")
    refuses(folder, [{"tokens": []}], 3, "no tokens")
    refuses(folder, [{"tokens": [1] * 513}], 3, "513 tokens", "512")
    refuses(folder, ["{"], 3, "standard input:1")
    check(score(folder, [{"tokens": [1]}])[1] == [{"tokens": [1], "logprobs": []}])


def defects(folder):
    """Broken model folders; the tokenizer comes from the real model."""
    with tempfile.TemporaryDirectory() as base:
        def broken(change):
            path = os.path.join(base, "m")
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(folder, path)
            os.system(f"chmod -R u+w {path}")
            change(path)
            return path

        def edit(key, value):
            def change(path):
                file = os.path.join(path, "config.json")
                config = json.load(open(file))
                config[key] = value
                json.dump(config, open(file, "w"))
            return change

        def poison(path):
            file = os.path.join(path, "model.safetensors")
            data = bytearray(open(file, "rb").read())
            data[-4:] = b"\x00\x00\xc0\x7f"
            open(file, "wb").write(data)

        line = [{"tokens": [1, 2]}]
        refuses(broken(lambda p: os.remove(p + "/model.safetensors")), line, 3, "model.safetensors")
        refuses(broken(lambda p: os.truncate(p + "/model.safetensors", 500000)), line, 3, "495136 bytes are there", "truncated")
        refuses(broken(lambda p: os.truncate(p + "/model.safetensors", 100)), line, 3, "truncated header")
        refuses(broken(edit("architectures", ["MambaForCausalLM"])), line, 3, "MambaForCausalLM", "Qwen2ForCausalLM")
        refuses(broken(edit("intermediate_size", 173)), line, 3, "gate_proj", "[173, 64]", "[172, 64]")
        refuses(broken(edit("rope_scaling", {"rope_type": "yarn", "factor": 2})), line, 3, "yarn", "llama3")
        refuses(broken(poison), line, 5, "NaN", "model.norm.weight")
        refuses(os.path.join(base, "nowhere"), line, 3, "nowhere")


def rounded_rows():
    """--gemm bf16 gives other numbers, near those of the default; its own ones in any company."""
    folder = os.path.join(os.environ["SEMCAL_SOURCE"], "configs/quickstart/models/base")
    lines = [{"prompt": f"Q: What is {i} plus {2 * i}?\n", "completion": f"The answer is {3 * i}."} for i in range(12)]
    code, exact, message = score(folder, lines)
    check(code == 0, message)
    code, rounded, message = score(folder, lines, "--gemm", "bf16")
    check(code == 0, message)
    apart = [abs(a - b) for x, y in zip(exact, rounded) for a, b in zip(x["logprobs"], y["logprobs"])]
    check(1e-5 < max(apart) and sum(apart) / len(apart) < 0.05, max(apart), sum(apart) / len(apart))
    check(score(folder, lines[5:6], "--gemm", "bf16")[1] == rounded[5:6])
    print(f"gemm bf16: largest difference {max(apart):.1e}, mean {sum(apart) / len(apart):.1e} nats")


def main():
    code, _, message = score(FIXTURES + "/qwen2_bf16", [{"tokens": [1]}], "--gemm", "fast")
    check(code == 2 and "clblast or bf16" in message, message)
    rounded_rows()
    folder = os.path.join(os.environ.get("SEMCAL_SHARED", ""), "data/models/stories260K")
    if not os.path.exists(folder):
        print("skipped: the reference model is not here")
        sys.exit(77)
    trained_model(folder)
    lines = [{"prompt": "Once upon a time", "completion": " there was a cat."}]  # fp32 weights: nothing is rounded
    check(score(folder, lines, "--gemm", "bf16")[1] == score(folder, lines)[1])
    defects(folder)


main()
