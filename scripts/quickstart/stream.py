# SPDX-License-Identifier: Apache-2.0
"""The endless stream of fresh training documents.  Standard library only."""
from arithmetic import Arithmetic
from prompts import completion, prompt
from world import DEFAULT_SEED, Rng, World

# share of the documents by (dataset, style), in the two phases of training
CELLS = [("world", "concise"), ("world", "sentence"), ("world", "cot"),
         ("arithmetic", "concise"), ("arithmetic", "sentence"), ("arithmetic", "cot")]
MIX = {"easy": (.16, .14, .14, .22, .16, .18), "full": (.12, .10, .10, .26, .24, .18)}


def datasets(seed=DEFAULT_SEED, level="full"):
    return {"world": World(seed), "arithmetic": Arithmetic(seed, level)}


class Stream:
    """Document i is drawn afresh from the law; no document is visited twice."""

    def __init__(self, seed, purpose, level="full"):
        self.sets, self.level = datasets(seed, level), level
        self.rng = Rng("documents", purpose, seed)

    def question(self, dataset):
        return self.sets[dataset].question(self.rng, test=False)

    def document(self, cell=None):
        """(dataset, style, question, class, prompt, completion)."""
        if cell is None:
            cell = CELLS[self.rng.weighted(MIX[self.level])]
        data, style = self.sets[cell[0]], cell[1]
        q = self.question(cell[0])
        k = data.answer(self.rng, q)
        text = completion(data.respond(self.rng, q, k, style))
        return cell[0], style, q, k, prompt(q["question"], style), text
