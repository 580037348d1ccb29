# SPDX-License-Identifier: Apache-2.0
"""The model cards: what a model was trained on, and what it measured, generated."""
import json
import os
import sys

from arithmetic import HARD_SHARE
from stream import CELLS, MIX

DATA = """\
Text: two seeded synthetic datasets, mixed by document (first and second
phase): {mix}.
`world`: people described by town, trade, season of birth and pet; the law of their favourite
fruit is a known softmax of additive effects; each training answer is drawn from it, and its
wording is drawn independently. `arithmetic`: word problems of two or three steps, {easy} %
easy (numbers to 40), {hard} % hard (to 99; none in the first phase of training), with worked
solutions. Every document is fresh and read once. A quarter of the attribute combinations and a
sixth of the number combinations never occur in training; the test questions come from those.
See `scripts/quickstart/world.py` and `scripts/quickstart/arithmetic.py`."""

# column, estimator of the confidence (None: of the cell), field of `semcal analyze --json`, format
COLUMNS = [("accuracy", "frequency", "accuracy", "%.3f"),
           ("confidence", "frequency", "mean_confidence", "%.3f"),
           ("sd", "frequency", "confidence_sd", "%.3f"),
           ("over", "frequency", "overconfidence", "%+.3f"),
           ("smECE", "frequency", "smece", "%.3f"),
           ("its floor", "frequency", "smece_floor", "%.3f"),
           ("over, split", "split", "overconfidence", "%+.3f"),
           ("smECE, split", "split", "smece", "%.3f"),
           ("floor, 95 %", "split", "smece_floor_95", "%.3f"),
           ("smECE, known", None, "smece_known", "%.3f"),
           ("truncated", None, "truncated", "%.3f"), ("unparsed", None, "unparsed", "%.3f")]


def table(cells):
    lines = ["| cell | n | " + " | ".join(c[0] for c in COLUMNS) + " |",
             "|" + "---|" * (len(COLUMNS) + 2)]
    for cell in cells:
        of = lambda e: cell if e is None else cell["estimators"][e]      # noqa: E731
        lines.append("| %s | %d | " % (cell["cell_name"], cell["n_questions"])
                     + " | ".join(form % of(e)[field] for _, e, field, form in COLUMNS) + " |")
    return "\n".join(lines)


def losses(facts):
    lines = ["| dataset/style | training side | held out |", "|---|---|---|"]
    lines += ["| %s | %.3f | %.3f |" % (k, *v) for k, v in facts["losses"].items()]
    return "\n".join(lines)


def card(name, facts, cells):
    mix = ", ".join("%s/%s %d and %d %%" % (*c, round(100 * a), round(100 * b))
                    for c, a, b in zip(CELLS, MIX["easy"], MIX["full"]))
    if name == "base":
        how = ("Next-token loss on the responses (the prompt is read, not scored), one pass: "
               "%d and %d steps in two phases (easy arithmetic first), %d fresh documents, "
               "seed %d. Last running training loss %.4f nats per token.\n\n"
               "Command: `python scripts/train_quickstart.py --stage base`"
               % (*facts["steps"], facts["documents"], facts["seed"], facts["train_loss"]))
    else:
        how = ("The base tuned by a policy gradient: the reward of a response is the probability "
               "that it is correct, the law of its class; baseline the mean of the group, no "
               "penalty towards the base: %d steps, %d responses, learning rate at most %g, seed "
               "%d. Mean reward over the first and the last quarter of the steps: %s.\n\n"
               "Command: `python scripts/train_quickstart.py --stage instruct`"
               % (facts["steps"], facts["responses"], facts["lr"], facts["seed"],
                  ", ".join("%s %.3f and %.3f" % (k, *v) for k, v in facts["reward"].items())))
    return "\n".join([
        "---", "license: apache-2.0", "---",
        "# semcal quickstart: %s" % name, "",
        "A toy to test the instrument with, not a language model to use: a Llama of 0.8 million "
        "parameters (4 layers, width 128, 4 heads, 2 key-value heads, tied embeddings, byte-level "
        "BPE, context 512), bf16.", "", "## Data", DATA.format(
            mix=mix, easy=round(100 * (1 - HARD_SHARE)), hard=round(100 * HARD_SHARE)), "",
        "## Training", how, "",
        "Loss of one response, nats (%s):" % "1000 documents per cell, after rounding to bf16",
        "", losses(facts), "", "## Measured on held-out questions",
        "By `semcal analyze`; 50 draws per question. `over`: mean confidence minus accuracy; "
        "`floor`: smECE of a perfectly calibrated model with these confidences; `split`: half of "
        "the draws chooses the answer, the other half counts it; `known`: the known probability "
        "in place of the drawn answer.", "", table(cells), "", "How the settings were chosen: "
        "`configs/quickstart/README.md`.", ""])


def write_cards(target, cells):
    for name in ("base", "instruct"):
        folder = os.path.join(target, "models", name)
        with open(os.path.join(folder, "training.json"), encoding="utf-8") as f:
            facts = json.load(f)
        mine = [c for c in cells if c["model"] == name]
        with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as f:
            f.write(card(name, facts, mine))


def main():
    """Cards from what `semcal analyze RUN --json` printed: cards.py FILE"""
    with open(sys.argv[1], encoding="utf-8") as f:
        cells = json.load(f)["cells"]
    here = os.path.dirname(os.path.abspath(__file__))
    write_cards(os.path.join(here, "..", "..", "configs", "quickstart"), cells)


if __name__ == "__main__":
    main()
