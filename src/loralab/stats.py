"""How far luck alone can move a score, and what may be said all the same."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t


def z(level: float) -> float:
    """How many standard deviations to each side hold that share of a normal distribution: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def half_width(accuracy: float, examples: int, level: float = 0.95) -> float:
    """Half of the interval of an accuracy (a share) on a test of so many examples: 1.96·√(p(1-p)/n) at 95 %.

    It covers which examples the test happens to hold, and nothing else: no other seed, no other training set.
    """
    return z(level) * math.sqrt(accuracy * (1 - accuracy) / examples)


def seed_factor(seeds: int, level: float = 0.95) -> float:
    """What to multiply the standard deviation of so many runs by, for half the interval of their mean: t/√k.

    Student's t with k - 1 degrees of freedom, because the deviation itself is estimated from few runs (Student, "The
    probable error of a mean", Biometrika 6(1), 1908). 2.48 for 3 seeds, 1.24 for 5 at 95 %. Infinite for one.
    """
    return float(student_t.ppf(0.5 + level / 2, seeds - 1)) / math.sqrt(seeds) if seeds > 1 else math.inf


@dataclass(frozen=True)
class Difference:
    """A score (accuracy: share; loss: nats) of one method minus another's on one test, and what luck can do to it.

    `by_seed` has one difference a pair of runs. `exam` is the standard deviation that other questions alone would give
    the mean difference, what questions and seeds do together left out: the spread of `by_seed` holds that already.
    """

    by_seed: tuple[float, ...]
    exam: float

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.by_seed))

    def half(self, level: float = 0.95) -> float:
        """Half of the interval: exam luck and training luck, at right angles like the legs of a triangle.

        With one seed training luck is unknown and left out: the interval then holds for these two models only.
        """
        training = 0.0
        if len(self.by_seed) > 1:
            training = seed_factor(len(self.by_seed), level) * float(np.std(self.by_seed, ddof=1))
        return math.hypot(training, z(level) * self.exam)


def paired_difference(a: ArrayLike, b: ArrayLike, labels: Sequence[int]) -> Difference:
    """The difference of two methods' accuracies on the same examples, run by run.

    `a` and `b` are predicted classes, (examples) or (seeds × examples), row i of both trained with the same seed.
    Pairing counts: only the examples that one gets right and the other wrong move the difference. Exam luck is the
    examples' component of variance over their number (Searle, Casella and McCulloch, Variance Components, 1992).
    Raises ValueError if the two have different shapes.
    """
    truth = np.asarray(labels)
    right_a, right_b = (np.atleast_2d(np.asarray(x)) == truth for x in (a, b))
    if right_a.shape != right_b.shape:
        raise ValueError(f"{right_a.shape} != {right_b.shape}")
    difference = right_a.astype(float) - right_b
    exam = math.sqrt(_variance_of_examples(difference) / len(truth))
    return Difference(tuple(float(d) for d in difference.mean(axis=1)), exam)


def _variance_of_examples(values: np.ndarray) -> float:
    """The examples' component of variance in a layout of k seeds × n examples: (k·V(means) - mean V)/(k - 1)."""
    seeds = len(values)
    variance = float(values.mean(axis=0).var(ddof=1))
    if seeds == 1:
        return variance
    within = float(values.var(axis=1, ddof=1).mean())
    return max(0.0, (seeds * variance - within) / (seeds - 1))


def loss_difference(a: ArrayLike, b: ArrayLike, tokens: Sequence[int]) -> Difference:
    """The difference of two models' losses (nats a token) on the same answers.

    `a` and `b` are losses summed over each answer, (answers) or (seeds × answers), row i of both trained with the same
    seed; `tokens` are the answers' lengths. Exam luck is that of a ratio estimate, whose residual for an answer is
    d - D·tokens (Cochran, Sampling Techniques, 1977, section 6.3), the answers' component of it as in
    `paired_difference`. Answers count as independent: what a topic does to all of its questions is left out. Raises
    ValueError if the shapes differ.
    """
    lengths = np.asarray(tokens, dtype=float)
    nats_a, nats_b = (np.atleast_2d(np.asarray(x, dtype=float)) for x in (a, b))
    if nats_a.shape != nats_b.shape:
        raise ValueError(f"{nats_a.shape} != {nats_b.shape}")
    difference = nats_a - nats_b
    by_seed = difference.sum(axis=1) / lengths.sum()
    residuals = difference - by_seed[:, None] * lengths
    exam = math.sqrt(_variance_of_examples(residuals) * len(lengths)) / float(lengths.sum())
    return Difference(tuple(float(d) for d in by_seed), exam)


def verdict(difference: Difference, margin: float, level: float = 0.95) -> str:
    """One of four: "equivalent", "different", "negligible" (both of them), or "cannot_tell".

    Equivalent: the narrower interval (1 - 2·(1 - level), so 90 % for 95 %) lies within ±margin (two one-sided tests,
    Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987). Different: the interval at `level` leaves out zero.
    """
    within = abs(difference.mean) + difference.half(2 * level - 1) < margin
    apart = abs(difference.mean) > difference.half(level)
    return {(True, False): "equivalent", (False, True): "different", (True, True): "negligible"}.get(
        (within, apart), "cannot_tell"
    )
