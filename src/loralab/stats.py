"""How far luck alone can move a score."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

Z95 = NormalDist().inv_cdf(0.975)


def half_width(accuracy: float, examples: int) -> float:
    """Half of the 95 % interval of an accuracy (a share) on a test of so many examples: 1.96·√(p(1-p)/n).

    It covers which examples the test happens to hold, and nothing else: no other seed, no other training set.
    """
    return Z95 * math.sqrt(accuracy * (1 - accuracy) / examples)


def paired_difference(a: Sequence[int], b: Sequence[int], labels: Sequence[int]) -> tuple[float, float]:
    """Accuracy of predictions `a` minus that of `b` on the same test (a share), and half its 95 % interval.

    Pairing counts: only the examples that one gets right and the other wrong move the difference. The interval is
    1.96·SD/√n over the examples' differences (-1, 0 or 1).
    """
    truth = np.asarray(labels)
    difference = (np.asarray(a) == truth).astype(float) - (np.asarray(b) == truth)
    return float(difference.mean()), Z95 * float(difference.std(ddof=1)) / math.sqrt(len(difference))
