# SPDX-License-Identifier: Apache-2.0
"""The endless stream of fresh training documents.  Standard library only."""
from arithmetic import Arithmetic
from prompts import completion, prompt
from world import DEFAULT_SEED, Rng, World

# share of the documents by (dataset, style)
MIX = [(.16, "world", "concise"), (.14, "world", "sentence"), (.14, "world", "cot"),
       (.22, "arithmetic", "concise"), (.16, "arithmetic", "sentence"),
       (.18, "arithmetic", "cot")]


def datasets(seed=DEFAULT_SEED):
    return {"world": World(seed), "arithmetic": Arithmetic(seed)}


class Stream:
    """Document i is drawn afresh from the law; no document is visited twice."""

    def __init__(self, sets, seed, purpose="train"):
        self.sets, self.rng = sets, Rng("documents", purpose, seed)

    def question(self, dataset):
        return self.sets[dataset].question(self.rng, test=False)

    def document(self, cell=None):
        """(dataset, style, question, class, prompt, completion)."""
        if cell is None:
            cell = MIX[self.rng.weighted([m[0] for m in MIX])][1:]
        data, style = self.sets[cell[0]], cell[1]
        q = self.question(cell[0])
        k = data.answer(self.rng, q)
        text = completion(data.respond(self.rng, q, k, style))
        return cell[0], style, q, k, prompt(q["question"], style), text
