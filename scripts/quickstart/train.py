# SPDX-License-Identifier: Apache-2.0
"""Stage "base": next-token loss on the responses, one pass over a fresh stream, two phases
(small numbers in the arithmetic first).

The loss is that of the paper's theory, -log p(response | question): the prompt tokens (random
names and numbers, nothing to learn) are read but not scored.  Learning rate: warm-up, then
linearly to zero; its peak in the second phase is a fifth of the first's, meant to keep the easy
arithmetic while the hard is learned.
Matrices inside the blocks by Muon, the embedding and the norms by AdamW.
"""
import math
import time

import torch
import torch.nn.functional as F

from stream import CELLS, Stream
from model import Llama, Shape
from prompts import END_OF_TEXT


def encode(tok, documents):
    """Documents -> list of (ids, length of the prompt); each ends in the end-of-text token."""
    p = tok.encode_batch([d[4] for d in documents], add_special_tokens=False)
    c = tok.encode_batch([d[5] for d in documents], add_special_tokens=False)
    end = tok.token_to_id(END_OF_TEXT)
    return [(a.ids + b.ids + [end], len(a.ids)) for a, b in zip(p, c)]


def pack(rows, pad):
    """Right-padded [B, T] ids and the mask of scored targets (position t predicts t+1)."""
    longest = max(len(r) for r, _ in rows)
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    scored = torch.zeros(len(rows), longest - 1, dtype=torch.bool)
    for i, (r, n) in enumerate(rows):
        ids[i, :len(r)] = torch.tensor(r)
        scored[i, n - 1:len(r) - 1] = True
    return ids, scored


def token_losses(model, ids, scored):
    """Loss of each scored token, in the order of ``scored.nonzero()``."""
    h, _ = model.hidden(ids[:, :-1])
    return F.cross_entropy(model.head(h[scored]), ids[:, 1:][scored], reduction="none")


def batch_loss(model, rows, pad, buckets=2):
    """Sum of the losses over rows of similar length at a time; calls backward."""
    rows = sorted(rows, key=lambda r: len(r[0]))
    total, tokens = 0.0, sum(len(r) - n for r, n in rows)
    size = -(-len(rows) // buckets)
    for i in range(0, len(rows), size):
        loss = token_losses(model, *pack(rows[i:i + size], pad)).sum()
        (loss / tokens).backward()
        total += loss.item()
    return total / tokens


@torch.no_grad()
def test_losses(model, tok, seed, n=400):
    """Mean loss per response and cell, in nats: on fresh training-side documents and on
    held-out questions."""
    result = {}
    for data, style in CELLS:
        for side in (False, True):
            stream = Stream(seed, "loss")
            stream.question = lambda d, s=stream, side=side: s.sets[d].question(s.rng, side)
            rows = encode(tok, [stream.document((data, style)) for _ in range(n)])
            loss = token_losses(model, *pack(rows, 0)).sum().item() / n
            result.setdefault(data + "/" + style, []).append(round(loss, 4))
    return result


def optimizers(model, lr_matrix, lr_rest):
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    return [torch.optim.Muon(matrices, lr=lr_matrix, momentum=0.95, weight_decay=0.01,
                             adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=lr_rest, betas=(0.9, 0.98), weight_decay=0.0)]


def train(model, tok, seed, level, steps, batch, lr_matrix, lr_rest, power, log=print,
          warmup=50):
    """One phase; the learning rate falls to zero as (1 - progress)^power."""
    torch.manual_seed(seed)
    opts = optimizers(model, lr_matrix, lr_rest)
    plan = [torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(
        (t + 1) / warmup, max(0.0, (steps - t) / max(1, steps - warmup)) ** power))
        for o in opts]
    stream = Stream(seed, "train" if level == "easy" else "train " + level, level)
    start, mean = time.time(), None
    for step in range(steps):
        rows = encode(tok, [stream.document() for _ in range(batch)])
        loss = batch_loss(model, rows, 0)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o, s in zip(opts, plan):
            o.step()
            s.step()
            o.zero_grad(set_to_none=True)
        if not math.isfinite(loss):
            raise SystemExit("training diverged at step %d" % step)
        mean = loss if mean is None else 0.98 * mean + 0.02 * loss
        if (step + 1) % 50 == 0 or step + 1 == steps:
            log("%s phase, step %d/%d loss %.4f nats/token, %.0f s" % (
                level, step + 1, steps, mean, time.time() - start))
        if (step + 1) % 250 == 0:
            log(test_losses(model, tok, seed, 60))
    return round(mean, 4)


def train_base(tok, seed, steps, batch, log=print, model=None):
    """Both phases, or the second alone from the model of the first."""
    if model is None:
        torch.manual_seed(seed)
        model = Llama(Shape(vocab=tok.get_vocab_size()))
        train(model, tok, seed, "easy", steps[0], batch, 0.008, 0.005, 1, log)
    return model, train(model, tok, seed, "full", steps[1], batch, 0.0015, 0.001, 1, log,
                        warmup=30)
