# SPDX-License-Identifier: Apache-2.0
"""Confidence from counts, and the calibration numbers of one row (Python oracle)."""
import collections
import random

import numpy as np

SPLITS = 10


def mode(classes, weights):
    """The most frequent class; ties: larger summed probability of its distinct strings
    (``weights``), then the class drawn first.  ``None`` is the class of the unparsed."""
    count = collections.Counter(classes)
    first = {}
    for i, k in enumerate(classes):
        first.setdefault(k, i)
    return max(count, key=lambda k: (count[k], weights.get(k, 0.0), -first[k]))


def confidence(classes, weights, truth, seed):
    """Frequency and split estimates: (c, mode, c_split, a_split) where ``truth`` maps a class
    to the probability that it is right (an indicator for the drawn reference)."""
    m = len(classes)
    k = mode(classes, weights)
    rng, cs, as_ = random.Random(seed), [], []
    for _ in range(SPLITS):
        order = list(range(m))
        rng.shuffle(order)
        a, b = [classes[i] for i in sorted(order[:m // 2])], [classes[i] for i in order[m // 2:]]
        s = mode(a, weights)
        cs.append(b.count(s) / len(b))
        as_.append(truth(s))
    return classes.count(k) / m, k, float(np.mean(cs)), float(np.mean(as_))


def smooth_ece(c, a, points=401):
    """SmoothECE by its definition: reflected Gaussian kernel, fixed point by bisection."""
    c, a = np.asarray(c, float), np.asarray(a, float)
    atoms, where = np.unique(c, return_inverse=True)
    r = np.bincount(where, a - c) / len(c)
    t = (np.arange(points) + 0.5) / points
    images = np.arange(-4, 5)

    def value(s):
        d1 = t[:, None, None] - atoms[None, :, None] + 2 * images
        d2 = t[:, None, None] + atoms[None, :, None] + 2 * images
        kernel = (np.exp(-.5 * (d1 / s) ** 2) + np.exp(-.5 * (d2 / s) ** 2)).sum(-1)
        return np.abs(kernel @ r).mean() / (s * np.sqrt(2 * np.pi))

    low, high = 1e-3, 1.0
    for _ in range(14):
        mid = (low + high) / 2
        low, high = (mid, high) if value(mid) > mid else (low, mid)
    return (low + high) / 2


def noise_floor(c, replicates=40, seed=0):
    """Mean and 95 % point of smECE when correctness is redrawn from the confidence."""
    rng, c = np.random.default_rng(seed), np.asarray(c, float)
    v = [smooth_ece(c, rng.random(len(c)) < c) for _ in range(replicates)]
    return float(np.mean(v)), float(np.quantile(v, .95))
