# SPDX-License-Identifier: Apache-2.0
"""The world of favourite fruit: a question-answering world whose answer law is known.

A person is described by four attributes (town, trade, season of birth, pet).  The law of
their favourite fruit is a softmax of one additive effect per attribute value:

    law(k | person) = exp(sum_a effect[a][value_a][k]) / Z

Each attribute value has its own strength, so some people are nearly certain and some
nearly uniform.  The law is rounded to six decimals and *the rounded law is the law*: answers
are drawn from it and the same numbers stand in the test file.  How an answer is worded is
drawn independently of which answer it is.

A quarter of the attribute combinations never occurs in training; the test questions come from
those.  Standard library only; every random choice goes through ``Rng.random``, whose
sequence Python guarantees for a given seed.
"""
import json
import math
import random
import zlib

DEFAULT_SEED = 1
N_TEST = 1000

# class label, plural, article
FRUITS = [("apple", "apples", "an"), ("pear", "pears", "a"), ("plum", "plums", "a"),
          ("peach", "peaches", "a"), ("cherry", "cherries", "a"), ("lemon", "lemons", "a"),
          ("grape", "grapes", "a"), ("fig", "figs", "a"), ("melon", "melons", "a"),
          ("mango", "mangoes", "a")]
LABELS = [f[0] for f in FRUITS]
# what a worked answer may say about a fruit: colour, taste, texture
FEATURES = [("red", "sweet", "crisp"), ("green", "sweet", "soft"), ("blue", "sour", "soft"),
            ("yellow", "sweet", "soft"), ("red", "sour", "firm"), ("yellow", "sour", "firm"),
            ("green", "sour", "crisp"), ("blue", "rich", "soft"), ("green", "rich", "crisp"),
            ("yellow", "rich", "firm")]
FEATURE_VALUES = [["red", "green", "blue", "yellow"], ["sweet", "sour", "rich"],
                  ["crisp", "soft", "firm"]]
FEATURE_TRUE = 0.7          # chance that a step names the feature of the answer itself

NAMES = [("Ann", "She"), ("Ben", "He"), ("Cora", "She"), ("Dan", "He"), ("Eve", "She"),
         ("Finn", "He"), ("Gwen", "She"), ("Hugo", "He"), ("Iris", "She"), ("Jack", "He"),
         ("Kim", "She"), ("Leo", "He")]
TOWNS = ["Ashby", "Brent", "Corley", "Dunmore", "Elton", "Farley", "Gorse", "Hexley",
         "Ilford", "Kirby", "Linton", "Norvale", "Oakham", "Selby"]
TRADES = ["baker", "carter", "dyer", "fisher", "gardener", "hunter", "joiner", "mason",
          "miller", "nurse", "painter", "smith", "tailor", "weaver"]
SEASONS = ["spring", "summer", "autumn", "winter"]
PETS = ["cat", "dog", "goat", "hen", "horse", "rabbit"]
ATTRIBUTES = [TOWNS, TRADES, SEASONS, PETS]
# strengths of the effects, by attribute; a value takes one of the three
STRENGTHS = [(0.3, 1.4, 2.8), (0.3, 1.2, 2.4), (0.2, 0.6, 1.0), (0.2, 0.7, 1.4)]

QUESTIONS = [
    "{name} is a {trade} from {town}, was born in {season} and has a {pet}. "
    "Which fruit does {name} like best?",
    "{name} lives in {town} and works as a {trade}. {P} has a {pet} and was born in {season}. "
    "What is the favourite fruit of {name}?",
]
CONCISE = [(.30, "{F}"), (.25, "{plural}"), (.20, "{a} {f}"), (.15, "the {f}"),
           (.10, "{f}, I think")]
SENTENCE = [(.30, "{name} likes {plural} best."), (.25, "It is the {f}."),
            (.20, "{P} would pick {a} {f}."), (.15, "I think {name} loves {plural}."),
            (.10, "The {f} is what {name} likes.")]
COT = [(.40, "So {plural}."), (.35, "So the answer is {f}."), (.25, "That must be the {f}.")]
STYLES = ("concise", "sentence", "cot")


class Rng:
    """The few draws used here, built on ``random.random`` alone."""

    def __init__(self, *key):
        self.random = random.Random("/".join(str(k) for k in key)).random

    def pick(self, items):
        return items[int(self.random() * len(items))]

    def integer(self, low, high):
        """Uniform on low..high, both ends included."""
        return low + int(self.random() * (high - low + 1))

    def weighted(self, weights):
        u, total = self.random(), 0.0
        for i, w in enumerate(weights):
            total += w
            if u < total:
                return i
        return max(i for i, w in enumerate(weights) if w > 0)

    def normal(self):
        """Approximately normal (sum of 12 uniforms): no library logarithm involved."""
        return sum(self.random() for _ in range(12)) - 6.0

    def worded(self, table):
        return table[self.weighted([w for w, _ in table])][1]


def jsonl(rows):
    return "".join(json.dumps(r) + "\n" for r in rows)


def held_out(key, one_in):
    """A fixed split by name: never depends on order, counts or the seed."""
    return zlib.crc32(key.encode()) % one_in == 0


class World:
    name = "world"
    one_in = 4

    def __init__(self, seed=DEFAULT_SEED):
        self.seed = seed
        rng = Rng("world effects", seed)
        self.effects = []
        for values, strengths in zip(ATTRIBUTES, STRENGTHS):
            rows = []
            for i in range(len(values)):
                s = strengths[i % len(strengths)]
                rows.append([round(s * rng.normal(), 2) for _ in LABELS])
            self.effects.append(rows)
        # the feature a town, a trade, a season is known for
        self.habits = [[rng.pick(FEATURE_VALUES[f]) for _ in ATTRIBUTES[f]] for f in range(3)]

    def law(self, person):
        """Probability of each label given the attribute indices; sums to one."""
        logits = [sum(self.effects[a][person[a]][k] for a in range(4))
                  for k in range(len(LABELS))]
        top = max(logits)
        w = [math.exp(v - top) for v in logits]
        z = sum(w)
        p = [round(v / z, 6) for v in w]
        best = p.index(max(p))
        p[best] = round(p[best] + 1.0 - sum(p), 6)
        return p

    def question(self, rng, test):
        """One question of the training or of the test side, as a dict without answer."""
        while True:
            person = tuple(rng.integer(0, len(v) - 1) for v in ATTRIBUTES)
            if held_out("/".join(v[i] for v, i in zip(ATTRIBUTES, person)), self.one_in) == test:
                break
        name, pronoun = rng.pick(NAMES)
        words = dict(name=name, P=pronoun, town=TOWNS[person[0]], trade=TRADES[person[1]],
                     season=SEASONS[person[2]], pet=PETS[person[3]])
        return dict(key=person, words=words, question=rng.pick(QUESTIONS).format(**words))

    def answer(self, rng, q):
        """Index of a class drawn from the law."""
        return rng.weighted(self.law(q["key"]))

    def label(self, q, k):
        return LABELS[k]

    def label_law(self, q):
        return dict(zip(LABELS, self.law(q["key"])))

    def respond(self, rng, q, k, style):
        """One response in the given style that means class k (without the final newline)."""
        label, plural, article = FRUITS[k]
        words = dict(q["words"], f=label, F=label.capitalize(), plural=plural, a=article)
        if style == "concise":
            return rng.worded(CONCISE).format(**words)
        if style == "sentence":
            return rng.worded(SENTENCE).format(**words)
        says = []
        for f in range(3):
            own = rng.random() < FEATURE_TRUE
            says.append(FEATURES[k][f] if own else self.habits[f][q["key"][f]])
        return ("{0} grows {3} fruit. A {1} wants it {4}. In {2} it is {5}. ".format(
            words["town"], words["trade"], words["season"], *says)
            + rng.worded(COT).format(**words))

    def test_set(self, n=N_TEST):
        rng, seen, rows = Rng("world test", self.seed), set(), []
        while len(rows) < n:
            q = self.question(rng, test=True)
            if q["key"] in seen:
                continue
            seen.add(q["key"])
            law = self.law(q["key"])
            k = rng.weighted(law)
            rows.append(dict(id="world-%04d" % len(rows), question=q["question"],
                             answers=[LABELS[k]], law=dict(zip(LABELS, law))))
        return rows
