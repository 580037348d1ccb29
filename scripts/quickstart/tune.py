# SPDX-License-Identifier: Apache-2.0
"""Stage "instruct": the base tuned by a policy gradient on correctness.

For each fresh training-side question ``draws`` responses are drawn from the model.  A response
is correct when its class equals that of a reference drawn from the law; it earns the
probability of that, law(class): the same gradient in expectation as drawing the reference,
with less noise.  Unparsed or cut responses earn 0.
The advantage is the reward minus the mean of its group (GRPO's baseline, without dividing by
the group's deviation); one on-policy step per batch.  No penalty holds the model to the base:
the optimum of this reward is to put all mass on the mode, and the number of steps decides how
far it goes.  The learning rate is low and the groups are large, because noise in the gradient
costs skill: with 2.5 times the rate and half the draws the arithmetic got worse, not surer.
"""
import time
from statistics import mean

import torch
import torch.nn.functional as F

from collapse import COLLAPSE
from stream import CELLS, Stream
from model import sample
from prompts import MAX_TOKENS, STOP, prompt


def rollout(model, tok, stream, data, style, questions, draws, generator):
    """Sequences (ids, prompt length), rewards [questions, draws]."""
    stop = tok.token_to_id("\u010a")
    qs = [stream.question(data) for _ in range(questions)]
    prompts = [tok.encode(prompt(q["question"], style), add_special_tokens=False).ids
               for q in qs]
    z, done = sample(model, prompts, draws, MAX_TOKENS[style], stop, 1.0, generator)
    texts = tok.decode_batch(z.tolist(), skip_special_tokens=False)
    reward, rows = torch.zeros(questions, draws), []
    for i, q in enumerate(qs):
        law = stream.sets[data].label_law(q)
        for j in range(draws):
            r = i * draws + j
            ids = z[r].tolist()
            ids = ids[:ids.index(stop) + 1] if done[r] else ids
            rows.append((prompts[i] + ids, len(prompts[i])))
            if done[r]:
                reward[i, j] = law.get(COLLAPSE[data](texts[r].split(STOP)[0]), 0.0)
    return rows, reward


def merged(rows, advantage):
    """Equal responses to the same question as one row with the sum of their advantages; those
    that weigh nothing (all draws of a group earned the same) are left out."""
    weight = {}
    for (ids, n), a in zip(rows, advantage.tolist()):
        key = (tuple(ids), n)
        weight[key] = weight.get(key, 0.0) + a
    kept = [(key, w) for key, w in weight.items() if abs(w) > 1e-6]
    return [(list(ids), n) for (ids, n), _ in kept], torch.tensor([w for _, w in kept])


def tune(model, tok, seed, steps, questions, draws, lr, log=print):
    """Returns the mean reward by cell over the first and over the last quarter of the steps."""
    from train import pack
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    stream = Stream(seed, "tune")
    opt = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    cells = CELLS
    trace, start = {c: [] for c in cells}, time.time()
    for step in range(steps):
        for g in opt.param_groups:                     # up over 5 steps, down over the last half
            g["lr"] = lr * min(1.0, (step + 1) / 5, 2 * (steps - step) / steps)
        for data, style in cells:                      # every cell in every step
            rows, reward = rollout(model, tok, stream, data, style, questions, draws, generator)
            advantage = (reward - reward.mean(1, keepdim=True)).flatten()
            trace[(data, style)].append(reward.mean().item())
            drawn = len(rows)
            rows, advantage = merged(rows, advantage)
            if not rows:
                continue
            ids, scored = pack(rows, 0)
            h, _ = model.hidden(ids[:, :-1])
            loss = F.cross_entropy(model.head(h[scored]), ids[:, 1:][scored], reduction="none")
            weight = advantage[scored.nonzero()[:, 0]]
            ((loss * weight).sum() / drawn / len(cells)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        if (step + 1) % 5 == 0 or step + 1 == steps:
            log("tune step %d/%d reward of the last 10 steps %s, %.0f s" % (
                step + 1, steps, " ".join("%.3f" % mean(trace[c][-10:]) for c in cells),
                time.time() - start))
    part = max(1, steps // 4)
    return {"/".join(c): [round(mean(v[:part]), 3), round(mean(v[-part:]), 3)]
            for c, v in trace.items()}
