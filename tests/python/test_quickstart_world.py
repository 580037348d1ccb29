#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The committed quickstart data: made by the committed code, lawful, unseen in training.
Standard library only.  Run: python3 tests/python/test_quickstart_world.py"""
import json
import os
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "scripts", "quickstart"))
from arithmetic import Arithmetic  # noqa: E402
from collapse import COLLAPSE  # noqa: E402
from stream import Stream, datasets  # noqa: E402
from world import DEFAULT_SEED, LABELS, N_TEST, STYLES, Rng, World, jsonl  # noqa: E402

DOCUMENTS = 30000            # training documents looked at in each phase


def committed(name):
    path = os.path.join(ROOT, "configs", "quickstart", "data", name + ".jsonl")
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


class Data(unittest.TestCase):
    def test_regenerates_byte_for_byte(self):
        for data in (World(DEFAULT_SEED), Arithmetic(DEFAULT_SEED)):
            self.assertEqual(committed(data.name), jsonl(data.test_set(N_TEST)), data.name)

    def test_rows(self):
        for name in ("world", "arithmetic"):
            rows = [json.loads(line) for line in committed(name).splitlines()]
            self.assertGreaterEqual(len(rows), 1000)
            self.assertEqual(len({r["id"] for r in rows}), len(rows))
            self.assertEqual(len({r["question"] for r in rows}), len(rows))
            for r in rows:
                self.assertAlmostEqual(sum(r["law"].values()), 1.0, delta=1e-9)
                self.assertTrue(all(0 <= p <= 1 for p in r["law"].values()))
                self.assertEqual(len(r["answers"]), 1)
                self.assertGreater(r["law"][r["answers"][0]], 0.0)
                if name == "world":
                    self.assertEqual(list(r["law"]), LABELS)

    def test_law_is_the_frequency_of_answers(self):
        world, rng = World(DEFAULT_SEED), Rng("test law")
        q = world.question(rng, False)
        law, n = world.law(q["key"]), 20000
        count = [0] * len(law)
        for _ in range(n):
            count[world.answer(rng, q)] += 1
        for c, p in zip(count, law):
            self.assertLess(abs(c / n - p), 5 * (p * (1 - p) / n) ** .5 + 1e-3)

    def test_world_can_fail(self):
        tops = [max(json.loads(s)["law"].values()) for s in committed("world").splitlines()]
        mean = sum(tops) / len(tops)
        deviation = (sum((t - mean) ** 2 for t in tops) / len(tops)) ** .5
        self.assertTrue(.3 < mean < .85, mean)
        self.assertGreater(deviation, .15)

    def test_no_test_question_in_training(self):
        test = {n: {json.loads(s)["question"] for s in committed(n).splitlines()}
                for n in ("world", "arithmetic")}
        for stream in (Stream(DEFAULT_SEED, "train", "easy"),
                       Stream(DEFAULT_SEED, "train full", "full"),
                       Stream(DEFAULT_SEED, "tune")):
            for _ in range(DOCUMENTS):
                dataset, _, q, _, _, _ = stream.document()
                self.assertNotIn(q["question"], test[dataset])
        # and by construction: no attribute or number combination is on both sides
        for data in datasets(DEFAULT_SEED).values():
            keys = [{data.question(Rng("side", side), side)["key"] for _ in range(1)}
                    for side in (False, True)]
            rngs = [Rng("side", data.name, side) for side in (False, True)]
            for _ in range(5000):
                for side in (False, True):
                    keys[side].add(data.question(rngs[side], side)["key"])
            self.assertFalse(keys[0] & keys[1])

    def test_every_wording_collapses_to_its_class(self):
        for data in datasets(DEFAULT_SEED).values():
            rng = Rng("wordings", data.name)
            for _ in range(2000):
                q = data.question(rng, False)
                k = data.answer(rng, q)
                for style in STYLES:
                    text = data.respond(rng, q, k, style)
                    self.assertEqual(COLLAPSE[data.name](text), data.label(q, k), text)


if __name__ == "__main__":
    unittest.main()
