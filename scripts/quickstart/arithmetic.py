# SPDX-License-Identifier: Apache-2.0
"""Word problems of two or three steps, numbers up to 99, and their worked solutions.

The answer law is a point mass.  A sixth of the number combinations of every kind of problem
never occurs in training; the test questions come from those.
"""
from world import DEFAULT_SEED, N_TEST, NAMES, Rng, held_out

THINGS = ["apples", "books", "cards", "coins", "eggs", "pens", "shells", "stamps"]
# No number in a problem or its solution is larger.  The data set mixes easy and hard problems,
# so that confidence has something to vary with; the first phase of training reads only easy ones.
LIMIT = {"easy": 40, "hard": 99}
HARD_SHARE = 0.35

# kind: question, steps (operators), ranges of the numbers of easy and of hard problems
KINDS = {
    "bags": ("{name} has {0} bags with {1} {thing} each and gives away {2}. "
             "How many {thing} are left?", "*-",
             [(2, 5), (2, 8), (1, 9)], [(2, 9), (2, 9), (1, 30)]),
    "boxes": ("{name} has {0} boxes with {1} {thing} each and then finds {2} more. "
              "How many {thing} does {name} have?", "*+",
              [(2, 5), (2, 8), (1, 9)], [(2, 9), (2, 9), (1, 30)]),
    "buy": ("{name} had {0} {thing}, got {1} more and lost {2}. "
            "How many {thing} are left?", "+-",
            [(2, 20), (1, 15), (1, 12)], [(2, 60), (1, 40), (1, 30)]),
    "sell": ("{name} had {0} {thing}, sold {1} and then sold {2} more. "
             "How many {thing} are left?", "--",
             [(8, 40), (1, 15), (1, 12)], [(20, 99), (1, 40), (1, 30)]),
    "week": ("{name} had {0} {thing}, found {1}, lost {2} and then found {3}. "
             "How many {thing} does {name} have?", "+-+",
             [(2, 20), (1, 9), (1, 9), (1, 9)], [(2, 50), (1, 30), (1, 30), (1, 30)]),
    "trade": ("{name} has {0} bags with {1} {thing} each, gives away {2} and buys {3}. "
              "How many {thing} does {name} have?", "*-+",
              [(2, 5), (2, 6), (1, 9), (1, 9)], [(2, 9), (2, 9), (1, 30), (1, 30)]),
}
KIND_NAMES = list(KINDS)
CONCISE = [(.45, "{n}"), (.30, "{n} {thing}"), (.15, "It is {n}"), (.10, "{n} in all")]
SENTENCE = [(.35, "{name} has {n} {thing}."), (.30, "There are {n} {thing}."),
            (.20, "The answer is {n}."), (.15, "{P} has {n} of them.")]
COT = [(.6, "The answer is {n}."), (.4, "So {n} {thing}.")]


def solve(numbers, ops):
    """The steps of a solution as (left, operator, right, result)."""
    steps, value = [], numbers[0]
    for op, b in zip(ops, numbers[1:]):
        result = value * b if op == "*" else value + b if op == "+" else value - b
        steps.append((value, op, b, result))
        value = result
    return steps


class Arithmetic:
    name = "arithmetic"
    one_in = 6

    def __init__(self, seed=DEFAULT_SEED, level="full"):
        self.seed, self.level = seed, level

    def question(self, rng, test):
        hard = self.level == "full" and rng.random() < HARD_SHARE
        limit = LIMIT["hard" if hard else "easy"]
        while True:
            kind = rng.pick(KIND_NAMES)
            text, ops, easy_ranges, hard_ranges = KINDS[kind]
            ranges = hard_ranges if hard else easy_ranges
            numbers = tuple(rng.integer(a, b) for a, b in ranges)
            steps = solve(numbers, ops)
            if any(not 1 <= s[3] <= limit for s in steps):
                continue
            if held_out("/".join([kind] + [str(n) for n in numbers]), self.one_in) == test:
                break
        name, pronoun = rng.pick(NAMES)
        words = dict(name=name, P=pronoun, thing=rng.pick(THINGS))
        return dict(key=(kind,) + numbers, words=words, steps=steps,
                    question=text.format(*numbers, **words))

    def answer(self, rng, q):
        return q["steps"][-1][3]

    def label(self, q, k):
        return str(k)

    def label_law(self, q):
        return {self.label(q, self.answer(None, q)): 1.0}

    def respond(self, rng, q, k, style):
        words = dict(q["words"], n=k)
        if style == "concise":
            return rng.worded(CONCISE).format(**words)
        if style == "sentence":
            return rng.worded(SENTENCE).format(**words)
        return ("".join("%d %s %d = %d. " % s for s in q["steps"])
                + rng.worded(COT).format(**words))

    def test_set(self, n=N_TEST):
        rng, seen, rows = Rng("arithmetic test", self.seed), set(), []
        while len(rows) < n:
            q = self.question(rng, test=True)
            if q["question"] in seen:
                continue
            seen.add(q["question"])
            k = str(self.answer(rng, q))
            rows.append(dict(id="arithmetic-%04d" % len(rows), question=q["question"],
                             answers=[k], law={k: 1.0}))
        return rows
