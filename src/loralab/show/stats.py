"""How far luck alone can move a score, and what may be said all the same."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.stats import t as student_t
from statsmodels.stats.power import TTestPower


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
    `units` is how many examples, or topics, it was estimated from, if they are few.
    """

    by_seed: tuple[float, ...]
    exam: float
    units: float = math.inf

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
        return math.hypot(training, float(student_t.ppf(0.5 + level / 2, self.units - 1)) * self.exam)


def mean_difference(values: np.ndarray, weights: np.ndarray) -> Difference:
    """Σ values / Σ weights, seed by seed, and its exam luck; values (seeds × examples) are differences in pairs.

    Pairing counts: only the examples that the two judge differently move the difference. Exam luck is that of a ratio
    estimate, whose residual for an example is value - D·weight (Cochran, Sampling Techniques, 1977, section 6.3); of
    its variance, the examples' component (Searle, Casella and McCulloch, Variance Components, 1992). Examples count as
    independent: what a topic does to all of its questions is left out.
    """
    by_seed = values.sum(axis=1) / weights.sum()
    residuals = values - by_seed[:, None] * weights
    exam = math.sqrt(_variance_of_examples(residuals) * len(weights)) / float(weights.sum())
    return Difference(tuple(float(d) for d in by_seed), exam)


def _variance_of_examples(values: np.ndarray) -> float:
    """The examples' component of variance in a layout of k seeds × n examples: (k·V(means) - mean V)/(k - 1)."""
    seeds = len(values)
    variance = float(values.mean(axis=0).var(ddof=1))
    if seeds == 1:
        return variance
    within = float(values.var(axis=1, ddof=1).mean())
    return max(0.0, (seeds * variance - within) / (seeds - 1))


def verdict(difference: Difference, margin: float, level: float = 0.95) -> str:
    """One of four: "equivalent", "different", "negligible" (both of them), or "cannot_tell".

    Equivalent: the narrower interval (1 - 2·(1 - level), so 90 % for 95 %) lies within ±margin (two one-sided tests,
    Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987). Different: the interval at `level` leaves out zero.
    """
    within = abs(difference.mean) + difference.half(2 * level - 1) < margin
    apart = abs(difference.mean) > difference.half(level)
    names = {(True, False): "equivalent", (False, True): "different", (True, True): "negligible"}
    return names.get((within, apart), "cannot_tell")


def detectable(difference: Difference, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest true difference that a study like this one finds with that probability.

    Seeds: the effect that a paired t-test finds (Cohen, Statistical Power Analysis, 1988, section 2.3), in units of
    the spread of `by_seed`. Exam: (z(level) + the power's quantile)·`exam`. Joined like the legs of a triangle.
    """
    training = 0.0
    if len(difference.by_seed) > 1:
        effect = TTestPower().solve_power(nobs=len(difference.by_seed), alpha=1 - level, power=power)
        training = float(effect) * float(np.std(difference.by_seed, ddof=1))
    return math.hypot(training, (z(level) + NormalDist().inv_cdf(power)) * difference.exam)


def ratio_interval(ratios: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Low end, middle and high end for a ratio measured round by round: Student's t on the logarithms."""
    logs = np.log(np.asarray(ratios, dtype=float))
    middle = float(logs.mean())
    half = seed_factor(len(logs), level) * float(logs.std(ddof=1)) if len(logs) > 1 else math.inf
    return math.exp(middle - half), math.exp(middle), math.exp(middle + half) if half < 700 else math.inf
