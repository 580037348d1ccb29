#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Python oracle for the quickstart: sample, collapse, measure; one row per model x dataset x
style.  Reads the committed folders only, so it also checks what was exported.

    python scripts/quickstart/evaluate.py [--questions 300] [--draws 50] [--json FILE]
"""
import argparse
import json
import os
import sys
import time

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from calibration import confidence, noise_floor, smooth_ece  # noqa: E402
from collapse import COLLAPSE  # noqa: E402
from model import Llama, Shape, sample  # noqa: E402
from prompts import MAX_TOKENS, STOP, prompt  # noqa: E402
from world import STYLES  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "configs",
                    "quickstart")


def load(folder):
    with open(os.path.join(folder, "config.json")) as f:
        c = json.load(f)
    shape = Shape(c["vocab_size"], c["hidden_size"], c["num_hidden_layers"],
                  c["num_attention_heads"], c["num_key_value_heads"], c["intermediate_size"],
                  c["max_position_embeddings"], eps=c["rms_norm_eps"])
    model = Llama(shape)
    weights = {k: v.float() for k, v in load_file(
        os.path.join(folder, "model.safetensors")).items()}
    model.load_state_dict(weights)
    return model.eval(), Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))


def read(dataset):
    with open(os.path.join(ROOT, "data", dataset + ".jsonl")) as f:
        return [json.loads(line) for line in f]


def draw(model, tok, texts, draws, style, temperature, generator, chunk=32):
    """Sampled texts [question][draw] (None where truncated) and the first tokens."""
    ids = [e.ids for e in tok.encode_batch(texts, add_special_tokens=False)]
    stop = tok.token_to_id("\u010a")                      # byte-level spelling of "\n"
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out, first = [None] * len(ids), [None] * len(ids)
    for i in range(0, len(order), chunk):
        part = order[i:i + chunk]
        z, done = sample(model, [ids[j] for j in part], draws, MAX_TOKENS[style], stop,
                         temperature, generator)
        texts_out = tok.decode_batch(z.tolist(), skip_special_tokens=False)
        for n, j in enumerate(part):
            rows = range(n * draws, (n + 1) * draws)
            out[j] = [texts_out[r].split(STOP)[0] if done[r] else None for r in rows]
            first[j] = len(set(z[n * draws:(n + 1) * draws, 0].tolist()))
    return out, first


def row(model, tok, dataset, style, questions, draws, temperature=1.0, seed=7):
    generator = torch.Generator().manual_seed(seed)
    data = read(dataset)[:questions]
    drawn, first = draw(model, tok, [prompt(q["question"], style) for q in data], draws, style,
                        temperature, generator)
    everything = {k for q in data for k in q["law"]}
    prior = {k: np.mean([q["law"].get(k, 0.0) for q in data]) for k in everything}
    c, a, c2, a2, known, loss, base, truncated, unparsed, distinct = ([] for _ in range(10))
    for q, texts, n in zip(data, drawn, first):
        ref = COLLAPSE[dataset](q["answers"][0])
        classes = [None if t is None else COLLAPSE[dataset](t) for t in texts]
        ci, k, cs, as_ = confidence(classes, {}, lambda s: float(s == ref), q["id"])
        c.append(ci), a.append(float(k == ref)), c2.append(cs), a2.append(as_)
        known.append(q["law"].get(k, 0.0))
        loss.append(-np.log((classes.count(ref) + .5) / (draws + .5 * len(everything))))
        base.append(-np.log(prior[ref]))
        truncated.append(np.mean([t is None for t in texts]))
        unparsed.append(np.mean([x is None for x in classes]))
        distinct.append(len({t for t in texts}))
    c, a, c2, a2, known = map(np.array, (c, a, c2, a2, known))
    floor, floor2 = noise_floor(c), noise_floor(c2)
    smece2 = smooth_ece(c2, a2)
    bins = np.minimum((c * 10).astype(int), 9)
    ece = sum(abs((a - c)[bins == b].sum()) for b in range(10)) / len(c)
    return dict(dataset=dataset, style=style, temperature=temperature, n=len(c), draws=draws,
                accuracy=a.mean(), known_accuracy=known.mean(), confidence=c.mean(),
                confidence_std=c.std(), over=(c - a).mean(), ece_10=ece,
                smece=smooth_ece(c, a), floor=floor[0], floor_95=floor[1],
                smece_known=smooth_ece(c, known),
                confidence_split=c2.mean(), over_split=(c2 - a2).mean(), smece_split=smece2,
                floor_split=floor2[0], floor_split_95=floor2[1],
                log_loss=np.mean(loss), log_loss_prior=np.mean(base),
                truncated=np.mean(truncated), unparsed=np.mean(unparsed),
                distinct_strings=np.mean(distinct), distinct_first=np.mean(first),
                example=drawn[0][0])


COLUMNS = [("model", "model", "%-11s"), ("dataset", "dataset", "%-10s"),
           ("style", "style", "%-8s"), ("accuracy", "acc", "%5.3f"),
           ("confidence", "c", "%5.3f"), ("confidence_std", "sd c", "%5.3f"),
           ("over", "c-a", "%+5.3f"), ("smece", "smECE", "%5.3f"), ("floor_95", "fl95", "%5.3f"),
           ("smece_known", "known", "%5.3f"), ("over_split", "c-a spl", "%+5.3f"),
           ("smece_split", "smE spl", "%5.3f"), ("floor_split_95", "fl95", "%5.3f"),
           ("ece_10", "ECE10", "%5.3f"), ("log_loss", "loss", "%5.3f"),
           ("log_loss_prior", "prior", "%5.3f"), ("truncated", "trunc", "%5.3f"),
           ("unparsed", "unpar", "%5.3f"), ("distinct_strings", "strings", "%5.1f"),
           ("distinct_first", "first", "%4.1f")]


def table(rows):
    lines = ["| " + " | ".join(title for _, title, _ in COLUMNS) + " |",
             "|" + "---|" * len(COLUMNS)]
    for r in rows:
        lines.append("| " + " | ".join(f % r[k] for k, _, f in COLUMNS) + " |")
    return "\n".join(lines)


def measure(models, questions, draws, control=True, log=print):
    rows = []
    for name in models:
        model, tok = load(os.path.join(ROOT, "models", name))
        for t in (1.0, 0.5) if name == "base" and control else (1.0,):
            for dataset in ("world", "arithmetic"):
                for style in STYLES:
                    start = time.time()
                    r = row(model, tok, dataset, style, questions, draws, t)
                    r["model"] = name if t == 1 else "%s T=%g" % (name, t)
                    rows.append(r)
                    log("%s %s/%s %.0f s: %r" % (r["model"], dataset, style,
                                                 time.time() - start, r["example"]))
    return rows


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--models", nargs="+", default=["base", "instruct"])
    ap.add_argument("--questions", type=int, default=300)
    ap.add_argument("--draws", type=int, default=50)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--no-control", action="store_true")
    ap.add_argument("--json", help="also write the rows here")
    o = ap.parse_args()
    torch.set_num_threads(o.threads)
    rows = measure(o.models, o.questions, o.draws, not o.no_control,
                   lambda s: print(s, file=sys.stderr, flush=True))
    print(table(rows))
    if o.json:
        with open(o.json, "w") as f:
            json.dump([{k: v if isinstance(v, (str, int)) or v is None else round(float(v), 5)
                        for k, v in r.items()} for r in rows], f, indent=1)


if __name__ == "__main__":
    main()
