# SPDX-License-Identifier: Apache-2.0
"""Next-token calibration against a numpy forward pass of the quickstart model, `semcal score` and brute force; kills,
resumes, and what bad input says."""
import glob
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(77)

SEMCAL = os.environ["SEMCAL"]
SOURCE = os.environ["SEMCAL_SOURCE"]
MODEL = os.path.join(SOURCE, "configs/quickstart/models/base")
DOCUMENTS = os.path.join(SOURCE, "configs/quickstart/data/documents.jsonl")
MULTIPLIERS = 2.0 ** (np.arange(-6, 7) / 6)


def check(condition, *what):
    if not condition:
        print("FAILED:", *what)
        sys.exit(1)


def close(name, got, want, tolerance):
    check(got is not None and abs(got - want) <= tolerance, name, "is", got, "should be", want)


def semcal(*arguments, code=0, says=None):
    done = subprocess.run([SEMCAL, *arguments], capture_output=True, text=True)
    check(done.returncode == code, arguments, "exit", done.returncode, done.stderr[-500:])
    if says is not None:
        check(says in done.stderr, arguments, "did not say", says, ":", done.stderr[-500:])
    return done.stdout


# ---- the model in numpy, float64 ----

def tensors(folder):
    data = open(os.path.join(folder, "model.safetensors"), "rb").read()
    n = int.from_bytes(data[:8], "little")
    out = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            check(t["dtype"] == "BF16", name)
            bits = np.frombuffer(data[8 + n + a:8 + n + b], "<u2").astype("<u4") << 16
            out[name] = bits.view("<f4").astype(np.float64).reshape(t["shape"])
    return out


class Model:
    def __init__(self, folder):
        self.c = json.load(open(os.path.join(folder, "config.json")))
        self.w = tensors(folder)

    def logits(self, ids):
        c, w, T = self.c, self.w, len(ids)
        H, G, D = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]

        def norm(x, name):
            return x / np.sqrt((x * x).mean(-1, keepdims=True) + c["rms_norm_eps"]) * w[name]
        angle = np.arange(T)[:, None] / c["rope_theta"] ** (np.arange(0, D, 2) / D)
        cos, sin = np.cos(np.tile(angle, 2))[:, None], np.sin(np.tile(angle, 2))[:, None]

        def rotate(x):
            half = np.concatenate([-x[..., D // 2:], x[..., :D // 2]], -1)
            return x * cos + half * sin
        x = w["model.embed_tokens.weight"][ids]
        hidden = np.triu(np.ones((T, T), bool), 1)
        for i in range(c["num_hidden_layers"]):
            at = f"model.layers.{i}."
            h = norm(x, at + "input_layernorm.weight")
            q = rotate((h @ w[at + "self_attn.q_proj.weight"].T).reshape(T, H, D))
            k = rotate((h @ w[at + "self_attn.k_proj.weight"].T).reshape(T, G, D)).repeat(H // G, 1)
            v = (h @ w[at + "self_attn.v_proj.weight"].T).reshape(T, G, D).repeat(H // G, 1)
            s = np.einsum("thd,shd->hts", q, k) / np.sqrt(D)
            s[:, hidden] = -np.inf
            s = np.exp(s - s.max(-1, keepdims=True))
            s /= s.sum(-1, keepdims=True)
            x = x + np.einsum("hts,shd->thd", s, v).reshape(T, H * D) @ w[at + "self_attn.o_proj.weight"].T
            h = norm(x, at + "post_attention_layernorm.weight")
            gate = h @ w[at + "mlp.gate_proj.weight"].T
            up = h @ w[at + "mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[at + "mlp.down_proj.weight"].T
        return norm(x, "model.norm.weight") @ w["model.embed_tokens.weight"].T


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


# ---- brute force statistics ----

HARMONICS = np.arange(1200)
TIMES = (np.arange(4000) + .5) / 4000
WAVES = np.cos(np.pi * np.outer(TIMES, HARMONICS))


def smece(c, a, w=None):
    """The reflected kernel's cosine series, coefficient by coefficient from the pairs; good for widths above .002."""
    w = np.ones(len(c)) if w is None else w
    m = w * (a - c) / w.sum()
    coefficient = np.concatenate([m @ np.cos(np.pi * np.outer(c, HARMONICS[i:i + 100]))
                                  for i in range(0, len(HARMONICS), 100)])
    coefficient[1:] *= 2

    def at(s):
        return np.abs(WAVES @ (coefficient * np.exp(-(np.pi * s * HARMONICS) ** 2 / 2))).mean()
    low, high = 2e-3, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) > middle else (low, middle)
    return (low + high) / 2


def kind_of(data):
    """The built-in classes, said again."""
    if not data:
        return 5
    letter = lambda b: chr(b).isalpha() and b < 128 or b >= 128
    if data[0] == 32 and len(data) > 1 and letter(data[1]):
        return 0
    if letter(data[0]):
        return 1
    if 48 <= data[0] <= 57:
        return 2
    if data[0] in b"\r\n":
        return 4
    return 3 if 32 < data[0] < 127 else 5


def token_classes():
    """GPT-2's spelling of bytes back to bytes."""
    spelled = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in spelled]
    byte = {chr(b): b for b in spelled} | {chr(256 + i): b for i, b in enumerate(rest)}
    data = json.load(open(os.path.join(MODEL, "tokenizer.json")))
    special = {t["id"] for t in data["added_tokens"]}
    V = json.load(open(os.path.join(MODEL, "config.json")))["vocab_size"]
    kinds = np.full(V, 5)
    for text, v in data["model"]["vocab"].items():
        if v not in special:
            kinds[v] = kind_of(bytes(byte[ch] for ch in text))
    return kinds


def best_bias(mass, y):
    """Newton on the mean of log sum pi e^b - b_y, by full Hessians, ridge 1/n."""
    n, K = mass.shape
    b = np.zeros(K)
    f = lambda b: (np.log(mass @ np.exp(b)) - b[y]).mean() + (b * b).sum() / (2 * n)
    for _ in range(200):
        q = mass * np.exp(b)
        q /= q.sum(1, keepdims=True)
        g = q.mean(0) - np.bincount(y, minlength=K) / n + b / n
        h = np.diag(q.mean(0)) - q.T @ q / n + np.eye(K) / n
        step, size = np.linalg.solve(h, g), 1.0
        while f(b - size * step) > f(b) and size > 1e-9:
            size /= 2
        b = b - size * step
        if np.abs(size * step).max() < 1e-12:
            break
    return -(np.log(mass @ np.exp(b)) - b[y]).mean()


def chunks_of(ids, window, overlap, n_context=0):
    out, start = [], 0
    while start == 0 or start + overlap < len(ids):
        part = ids[start:start + window]
        skip = max(1 if start == 0 else overlap, n_context - start)
        if len(part) > skip:
            out.append((part, skip))
        start += window - overlap
    return out


def expected(model, chunks, kinds, temperature):
    laws, targets = [], []
    for part, skip in chunks:
        laws.append(log_softmax(model.logits(np.array(part))[skip - 1:-1] / temperature))
        targets += part[skip:]
    logp, y = np.concatenate(laws), np.array(targets)
    rows = np.arange(len(y))
    top = logp.argmax(1)
    c, a = np.exp(logp.max(1)), (top == y).astype(float)
    K = 6
    mass = np.stack([np.exp(logp[:, kinds == k]).sum(1) for k in range(K)], 1)
    classes = kinds[y]
    hit = np.eye(K)[classes]
    loss = [-log_softmax(logp / m)[rows, y].mean() for m in MULTIPLIERS]
    fine = 2.0 ** np.linspace(-1, 1, 2001)
    best = min((-log_softmax(logp / m)[rows, y].mean(), m) for m in fine[::8])[1]
    near = fine[np.abs(np.log(fine / best)) < .01]
    gap_t, best = min((-log_softmax(logp / m)[rows, y].mean(), m) for m in near)
    tilt = lambda tau: (np.log1p(c * np.expm1(tau)) - tau * a).mean()
    return dict(n_tokens=len(y), accuracy=a.mean(), mean_confidence=c.mean(), log_loss=-logp[rows, y].mean(),
                entropy=-(np.exp(logp) * logp).sum(1).mean(), smece=smece(c, a), loss=loss,
                smece_classwise=smece(mass.ravel(), hit.ravel(), mass.ravel()),
                mass=mass.mean(0), frequency=hit.mean(0), gap_bias=best_bias(mass, classes),
                temperature_best=best, gap_temperature=-logp[rows, y].mean() - gap_t,
                gap_shift=-min(tilt(tau) for tau in np.linspace(-4, 4, 80001)[::20]), target_logp=logp[rows, y])


def compare(got, want, name):
    check(got["n_tokens"] == want["n_tokens"], name, got["n_tokens"], want["n_tokens"])
    for key, tolerance in (("accuracy", 1e-10), ("mean_confidence", 1e-4), ("log_loss", 1e-4), ("entropy", 1e-4),
                           ("smece", 1e-4), ("smece_classwise", 1e-4), ("gap_bias", 1e-4), ("gap_temperature", 1e-4),
                           ("temperature_best", 2e-3), ("gap_shift", 1e-4)):
        close(name + ": " + key, got[key], want[key], tolerance)
    close(name + ": perplexity", got["perplexity"], np.exp(want["log_loss"]), 1e-3 * got["perplexity"])
    for one, m, loss in zip(got["temperatures"], MULTIPLIERS, want["loss"]):
        close(name + ": multiplier", one["multiplier"], m, 1e-10)
        close(f"{name}: loss at {m:.3f} T", one["log_loss"], loss, 2e-4 * max(1, loss))
    for one, mass, frequency in zip(got["classes"], want["mass"], want["frequency"]):
        close(name + ": mass of " + one["label"], one["mass"], mass, 1e-5)
        close(name + ": frequency of " + one["label"], one["frequency"], frequency, 1e-10)
    # families nest, and no bias or temperature is a possible one
    check(0 <= got["gap_shift"] <= got["gap_affine"] + 1e-9 <= got["gap_lipschitz"] + 2e-8 <= got["gap_isotonic"] + 3e-8,
          name, "nesting")
    check(got["gap_bias"] >= 0 and got["gap_temperature"] >= 0, name, "gaps")


# ---- runs ----

def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def config(folder, datasets, rest=""):
    return write(os.path.join(folder, "c.yaml"), f"name: n\nmodels: [{{name: m, path: {MODEL}}}]\ndatasets:\n"
                 + "".join(f"  - {d}\n" for d in datasets) + rest)


def cells_of(run):
    return {c["name"]: c for c in json.loads(semcal("analyze", run, "--json"))["text_cells"]}


def digests(run):
    lines = [line.split() for line in semcal("verify", run).splitlines()]
    return {os.path.basename(line[0].rstrip(":")): line[-1] for line in lines if line[0].endswith(".h5:")}


def tokens_of(text):
    return json.loads(semcal_input(["tokenize", MODEL, "--special", "--json"], json.dumps({"text": text}) + "\n"))["ids"]


def semcal_input(arguments, text):
    done = subprocess.run([SEMCAL, *arguments], input=text, capture_output=True, text=True)
    check(done.returncode == 0, arguments, done.stderr)
    return done.stdout


def numbers(folder, rows):
    text = "".join(r["document"] for r in rows[:60])
    write(os.path.join(folder, "t.txt"), text)
    lines = write(os.path.join(folder, "t.jsonl"), "".join(json.dumps(r) + "\n" for r in rows[:25]))
    limit = 700
    path = config(folder, ["{name: plain, path: t.txt, format: text, window: 48, limit: %d}" % limit,
                           "{name: overlap, path: t.txt, format: text, window: 40, overlap: 13, limit: 300}",
                           "{name: given, path: t.jsonl, format: text-jsonl, question: response, context: prompt}",
                           "{name: cut, path: t.jsonl, format: text-jsonl, question: response, context: prompt,"
                           " window: 24, overlap: 9, limit: 400}"],
                  "sampling: {temperature: [1, 1.5]}\nanalyze: {bootstrap: 50, floor_redraws: 20}\n")
    run = os.path.join(folder, "run")
    plan = json.loads(semcal("plan", path, "--json"))
    check([c["name"] for c in plan["cells"]][:2] == ["m.plain.tokens.T1", "m.plain.tokens.T1.5"], plan["cells"])
    check(plan["cells"][0]["questions"] == -(-limit // 47), plan["cells"][0])
    semcal("run", path, "-o", run)
    got = cells_of(run)
    check(len(got) == 8, sorted(got))
    model, kinds = Model(MODEL), token_classes()
    ids = tokens_of(text)[:limit]
    cases = {"plain": chunks_of(ids, 48, 1), "overlap": chunks_of(ids[:300], 40, 13), "given": [], "cut": []}
    left = 400
    for row in rows[:25]:
        prompt = tokens_of(row["prompt"])
        response = json.loads(semcal_input(["tokenize", MODEL, "--json"], json.dumps({"text": row["response"]}) + "\n"))
        both = prompt + response["ids"]
        cases["given"] += chunks_of(both, 512, 1, len(prompt))
        cases["cut"] += chunks_of(both[:left], 24, 9, len(prompt[:left])) if left > 0 else []
        left -= len(both)
    for name, chunks in cases.items():
        want = expected(model, chunks, kinds, 1.0)
        compare(got[f"m.{name}.tokens.T1"], want, name)
        if name in ("plain", "given"):
            compare(got[f"m.{name}.tokens.T1.5"], expected(model, chunks, kinds, 1.5), name + " T1.5")
        # the same numbers from another command
        out = semcal_input(["score", MODEL, "--input", "-"],
                           "".join(json.dumps({"tokens": part}) + "\n" for part, _ in chunks))
        scored = np.concatenate([json.loads(line)["logprobs"][skip - 1:]
                                 for line, (_, skip) in zip(out.splitlines(), chunks)])
        worst = np.abs(scored - want["target_logp"]).max()
        check(len(scored) == want["n_tokens"] and worst < 1e-3, name, worst)
        close(name + ": log loss by score", got[f"m.{name}.tokens.T1"]["log_loss"], -scored.mean(), 1e-8)
        print(f"{name}: {want['n_tokens']} tokens, worst log-probability off by {worst:.1e},"
              f" smECE {got[f'm.{name}.tokens.T1']['smece']:.6f} (brute force {want['smece']:.6f})")
    # the model was trained on responses given prompts, on nothing else
    check(got["m.given.tokens.T1"]["smece"] < .1 < got["m.plain.tokens.T1"]["smece"], "which text is calibrated")
    # little memory for keys and values: other forwards, the same bits
    small = os.path.join(folder, "small")
    semcal("run", path, "-o", small, "--set", "models.m.kv_memory=400k")
    check(digests(small) == digests(run), "digests with little memory", digests(small), digests(run))
    return run


def table(run):
    text = semcal("analyze", run)
    check("next-token calibration" in text and "m.plain.tokens.T1.5" in text, text)
    semcal("report", run)
    with open(os.path.join(run, "report", "index.html")) as f:
        check("m.plain.tokens.T1.5" in f.read(), "a report of text cells alone")
    semcal("collapse", run, "--with", "exact", code=3)
    check('"format_version"' in semcal("show", os.path.join(run, "cells/m.plain.tokens.T1.h5"), "--json"), "show")
    try:
        import h5py
    except ImportError:
        return
    with h5py.File(os.path.join(run, "analysis.h5")) as f:
        check(f["text_smece"].shape == (8,) and f["text_curve"].shape == (8, 201), list(f))
        check(all("long_name" in f[k].attrs for k in f if f[k].dims[0].keys() and "text_" in k
                  and f[k].attrs.get("CLASS") != b"DIMENSION_SCALE"), "long_name")
    with h5py.File(os.path.join(run, "cells/m.plain.tokens.T1.h5")) as f:
        w, a, c = (f["top_" + k][:].sum() for k in ("weight", "right", "confidence"))
        close("weight", w, 699, 1e-6)
        close("right", a, f["correct"][:].sum(), 1e-9)
        close("confidence", c, f["confidence"][:].sum(), 1e-9)
        close("places keep the mean", (f["top_weight"][:].sum(0) * f["place_confidence"][:]).sum(), c, 1e-9)
        close("chunks", f["chunk_loss"][:].sum(), f["loss"][:, 6].sum(), 1e-9)


def kills(folder, rows):
    write(os.path.join(folder, "k.jsonl"), "".join(json.dumps(r) + "\n" for r in rows))
    path = config(folder, ["{name: k, path: k.jsonl, format: text-jsonl, question: document, window: 32}"],
                  "store: {commit_seconds: 0.02}\n")
    whole, broken = os.path.join(folder, "whole"), os.path.join(folder, "broken")
    semcal("run", path, "-o", whole)
    rng, n_killed = random.Random(5), 0
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        def committed():
            return {f: os.stat(f).st_mtime_ns for f in glob.glob(broken + "/cells/*.segments/*.h5")}
        before = committed()
        process = subprocess.Popen([SEMCAL, "run", path, "-o", broken], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            while process.poll() is None and committed() == before:
                time.sleep(.001)
        except FileNotFoundError:
            pass  # renamed or removed while we looked
        time.sleep(rng.uniform(0, .03))
        process.send_signal(number)
        code = process.wait()
        check(code in (0, -signal.SIGKILL, 130), "exit", code)
        n_killed += code != 0
        if code != 0:
            semcal("verify", broken, code=3, says="")
        else:
            break
    check(n_killed > 0, "no kill hit a run at work")
    semcal("run", path, "-o", broken)
    check(digests(broken) == digests(whole), "digest after kills", digests(broken), digests(whole))
    semcal("run", path, "-o", broken)
    print(f"{n_killed} runs ended with something committed and something not")
    # shards, one of them killed, in another order; more shards than there are blocks
    sharded = os.path.join(folder, "sharded")
    for i in (3, 1, 2):
        process = subprocess.Popen([SEMCAL, "run", path, "-o", sharded, "--shard", f"{i}/3"], stderr=subprocess.DEVNULL)
        if i == 1:
            while process.poll() is None and not glob.glob(sharded + "/cells/*.shard-1-of-3.segments/*.h5"):
                time.sleep(.001)
            process.kill()
        process.wait()
    had = glob.glob(sharded + "/cells/*shard-1-of-3.segments/*.h5")
    check(had, "the killed shard had committed something")
    semcal("merge", sharded, code=3, says="is not there")
    semcal("run", path, "-o", sharded, "--shard", "1/3")
    semcal("verify", sharded)
    semcal("merge", sharded)
    check(digests(sharded) == digests(whole), "digest of shards", digests(sharded), digests(whole))
    semcal("run", path, "-o", sharded)
    tiny = config(folder, ["{name: k, path: k.jsonl, format: text-jsonl, question: document, window: 32, limit: 96}"])
    for i in range(1, 7):
        semcal("run", tiny, "-o", os.path.join(folder, "tiny6"), "--shard", f"{i}/6")
    semcal("merge", os.path.join(folder, "tiny6"))
    semcal("run", tiny, "-o", os.path.join(folder, "tiny1"))
    check(digests(os.path.join(folder, "tiny6")) == digests(os.path.join(folder, "tiny1")), "more shards than blocks")
    # damage: a finished file is refused, a segment is done again
    file = glob.glob(broken + "/cells/*.h5")[0]
    data = bytearray(open(file, "rb").read())
    data[len(data) // 2] ^= 1
    open(file, "wb").write(data)
    semcal("verify", broken, code=3)
    semcal("analyze", broken, code=3, says="damaged")
    semcal("run", path, "-o", whole, "--set", "datasets.k.window=31", code=2, says="another configuration")


def bad_input(folder):
    text = write(os.path.join(folder, "b.txt"), "Q: Who?\n" * 40)

    def refuse(code, says, dataset, rest=""):
        path = config(folder, [dataset], rest)
        semcal("run", path, "-o", os.path.join(folder, "bad"), "--fresh", code=code, says=says)
    good = f"name: b, path: {text}, format: text"
    refuse(2, "must be less than the window of 8 tokens", "{%s, window: 8, overlap: 8}" % good)
    refuse(3, "a window of 600 tokens is longer than the model's 512", "{%s, window: 600}" % good)
    refuse(2, "did you mean 'first-byte'?", "{%s, classes: first-bite}" % good)
    labels = write(os.path.join(folder, "labels"), "a\nb\n")
    refuse(3, "2 lines, but the vocabulary has 668 tokens", "{%s, classes_file: %s}" % (good, labels))
    write(labels, "a\n\n")
    refuse(3, "labels:2: no label", "{%s, classes_file: %s}" % (good, labels))
    empty = write(os.path.join(folder, "empty.txt"), "")
    refuse(3, "no text", "{name: b, path: %s, format: text}" % empty)
    with open(os.path.join(folder, "latin.txt"), "wb") as f:
        f.write(b"caf\xe9\n")
    refuse(3, "latin.txt", "{name: b, path: latin.txt, format: text}")
    refuse(3, "field 'text' missing", "{name: b, path: %s, format: text-jsonl, question: text}" % DOCUMENTS)
    refuse(2, "texts have no extra cells", "{%s}" % good, "extra: [{model: m, dataset: b, style: cot}]\n")
    toy = write(os.path.join(folder, "toy.yaml"), "name: t\nmodels: [{name: t, source: toy}]\ndatasets: [{%s}]\n" % good)
    semcal("plan", toy, code=2, says="a text needs a model that reads it; 't' has another source")
    # classes from a file, one label for all tokens: one class, nothing to learn from it
    write(labels, "all\n" * 668)
    path = config(folder, ["{%s, classes_file: %s, window: 16}" % (good, labels)], "analyze: {bootstrap: 0}\n")
    run = os.path.join(folder, "one")
    semcal("run", path, "-o", run)
    got = cells_of(run)["m.b.tokens.T1"]
    check(len(got["classes"]) == 1 and got["smece_classwise"] < 1e-6 and abs(got["gap_bias"]) < 1e-9, got)
    check(got["smece_low"] is None, "no interval without a bootstrap")


def main():
    rows = [json.loads(line) for line in open(DOCUMENTS)]
    made = subprocess.run([sys.executable, os.path.join(SOURCE, "scripts/quickstart/documents.py")],
                          capture_output=True, text=True)
    check(made.returncode == 0 and made.stdout == open(DOCUMENTS).read(), "documents.jsonl is not what its script makes")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        table(numbers(folder, rows))
        kills(folder, rows)
        bad_input(folder)
    print("all checks passed")


main()
