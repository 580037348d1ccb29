# SPDX-License-Identifier: Apache-2.0
"""The program's statistics again, in plain numpy: short, slow, and independent of the C code, for checking and reading."""
from __future__ import annotations

import numpy as np


def smece_at(width: float, c, a, n_grid: int = 4000) -> float:
    """SmoothECE at a kernel width (Blasiok and Nakkiran 2024): integral over [0, 1] of |mean_i K(t, c_i) (a_i - c_i)|,
    K the Gaussian reflected at 0 and 1."""
    c, a = np.asarray(c, float), np.asarray(a, float)
    values, index = np.unique(c, return_inverse=True)
    mass = np.bincount(index, a - c) / len(c)
    t = (np.arange(n_grid) + .5) / n_grid
    reach = int(np.ceil(6 * width)) + 1
    total = np.zeros(n_grid)
    for m in range(-reach, reach + 1):
        for sign in (-1, 1):
            z = (t[:, None] + sign * values[None, :] + 2 * m) / width
            total += np.exp(-.5 * z * z) @ mass
    return float(np.abs(total).mean() / (width * np.sqrt(2 * np.pi)))


def smece(c, a, tolerance: float = 1e-6) -> float:
    """The fixed point: the width that equals the error at that width."""
    low, high = 1e-4, 1.0
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if smece_at(middle, c, a) > middle else (low, middle)
    return smece_at(high, c, a)


def frequency(draw_class, class_mass=None):
    """The paper's estimator for one question: (share of the most drawn class, that class). Ties: larger probability
    found, then drawn first."""
    draw_class = np.asarray(draw_class)
    classes, first, count = np.unique(draw_class, return_index=True, return_counts=True)
    mass = np.zeros(len(classes)) if class_mass is None else np.asarray(class_mass)[classes]
    best = max(range(len(classes)), key=lambda k: (count[k], mass[k], -first[k]))
    return count[best] / len(draw_class), classes[best]


def semantic_entropy(share) -> float:
    """-sum p log p over classes, nats; shares are normalised."""
    p = np.asarray(share, float)
    p = p[p > 0] / p.sum()
    return float(-(p * np.log(p)).sum())


def best_shift(c, a, bound: float = 4.0):
    """The one tilt tau that lowers the log loss most, and the gain in nats per question: the loss after tilting by tau is
    log(1 + c (e^tau - 1)) - tau a. Convex in tau: golden section on [-bound, bound]."""
    c, a = np.asarray(c, float), np.asarray(a, float)

    def loss(tau):
        return float(np.mean(np.log1p(c * np.expm1(tau)) - tau * a))

    low, high, ratio = -bound, bound, (np.sqrt(5) - 1) / 2
    while high - low > 1e-9:
        x, y = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, y) if loss(x) < loss(y) else (x, high)
    tau = (low + high) / 2
    return tau, max(0.0, -loss(tau))


def bootstrap_interval(statistic, c, a, n: int = 200, seed: int = 0):
    """Basic 95 % interval over questions, clipped at 0: [2 x - q(97.5 %), 2 x - q(2.5 %)]."""
    rng = np.random.default_rng(seed)
    c, a = np.asarray(c, float), np.asarray(a, float)
    x = statistic(c, a)
    values = []
    for _ in range(n):
        pick = rng.integers(0, len(c), len(c))
        values.append(statistic(c[pick], a[pick]))
    low, high = np.quantile(values, [.025, .975])
    return max(0.0, 2 * x - high), max(0.0, 2 * x - low)
