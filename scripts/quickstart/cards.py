# SPDX-License-Identifier: Apache-2.0
"""The model cards: what a model was trained on, and what it measured, generated."""
import json
import os
import sys

from evaluate import table
from stream import CELLS, MIX

DATA = """\
Text: two seeded synthetic datasets, mixed by document (first and second
phase): {mix}.
`world`: people described by town, trade, season of birth and pet; the law of their favourite
fruit is a known softmax of additive effects; each training answer is drawn from it, and its
wording is drawn independently. `arithmetic`: word problems of two or three steps, 65 % easy
(numbers to 40), 35 % hard (to 99; none in the first phase of training), with worked solutions. Every document is fresh and read once. A quarter of the attribute
combinations and a sixth of the number combinations never occur in training; the test questions
come from those. See `scripts/quickstart/world.py` and `scripts/quickstart/arithmetic.py`."""


def losses(facts):
    lines = ["| dataset/style | training side | held out |", "|---|---|---|"]
    lines += ["| %s | %.3f | %.3f |" % (k, *v) for k, v in facts["losses"].items()]
    return "\n".join(lines)


def card(name, facts, rows):
    mix = ", ".join("%s/%s %d and %d %%" % (*c, round(100 * a), round(100 * b))
                    for c, a, b in zip(CELLS, MIX["easy"], MIX["full"]))
    if name == "base":
        how = ("Next-token loss on the responses (the prompt is read, not scored), one pass: "
               "%d and %d steps in two phases (easy arithmetic first), %d fresh documents, seed %d. Last running training loss %.4f nats "
               "per token.\n\nCommand: `python scripts/train_quickstart.py --stage base`"
               % (*facts["steps"], facts["documents"], facts["seed"], facts["train_loss"]))
    else:
        how = ("The base tuned by a policy gradient: the reward of a response is the probability "
               "that it is correct, the law of its class; baseline the mean of the group, no "
               "penalty towards the base: %d steps, %d responses, seed %d. Last running "
               "reward: %s.\n\nCommand: `python scripts/train_quickstart.py --stage instruct`"
               % (facts["steps"], facts["responses"], facts["seed"],
                  ", ".join("%s %.3f" % i for i in facts["reward"].items())))
    return "\n".join([
        "---", "license: apache-2.0", "---",
        "# semcal quickstart: %s" % name, "",
        "A toy to test the instrument with, not a language model to use: a Llama of 0.8 million "
        "parameters (4 layers, width 128, 4 heads, 2 key-value heads, tied embeddings, byte-level "
        "BPE, context 512), bf16.", "", "## Data", DATA.format(mix=mix), "",
        "## Training", how, "",
        "Loss of one response, nats (%s):" % "1000 documents per cell, after rounding to bf16",
        "", losses(facts), "", "## Measured by the Python oracle",
        "`scripts/quickstart/evaluate.py`, %d held-out questions per row, %d draws at T=1 unless "
        "said. `known`: smECE with the known probability in place of the drawn answer; `spl`: the "
        "split estimator; `fl95`: 95 %% point of the noise floor; `loss`: of the reference's "
        "class, from counts; `prior`: the loss of the marginal answer law." % (
            rows[0]["n"], rows[0]["draws"]), "", table(rows), ""])


def write_cards(target, rows):
    for name in ("base", "instruct"):
        folder = os.path.join(target, "models", name)
        with open(os.path.join(folder, "training.json"), encoding="utf-8") as f:
            facts = json.load(f)
        mine = [r for r in rows if r["model"].split()[0] == name]
        with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as f:
            f.write(card(name, facts, mine))


def main():
    """Cards from rows that evaluate.py --json wrote: cards.py FILE..."""
    rows = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            rows += json.load(f)
    here = os.path.dirname(os.path.abspath(__file__))
    write_cards(os.path.join(here, "..", "..", "configs", "quickstart"), rows)


if __name__ == "__main__":
    main()
