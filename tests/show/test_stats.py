import numpy as np
import pytest

from loralab.show.stats import (
    Difference,
    detectable,
    half_width,
    mean_difference,
    seed_factor,
    verdict,
)  # fmt: skip


def paired_difference(a, b, labels):
    right = [np.atleast_2d(np.equal(x, labels)).astype(float) for x in (a, b)]
    return mean_difference(right[0] - right[1], np.ones(len(labels)))


def loss_difference(a, b, tokens):
    nats = [np.atleast_2d(np.asarray(x, dtype=float)) for x in (a, b)]
    return mean_difference(nats[0] - nats[1], np.asarray(tokens, dtype=float))


@pytest.mark.parametrize(("accuracy", "examples", "points"), [(0.83, 2000, 1.65), (0.92, 25000, 0.34), (0.5, 100, 9.8)])
def test_half_width_worked_by_hand(accuracy, examples, points):
    assert 100 * half_width(accuracy, examples) == pytest.approx(points, abs=0.01)


@pytest.mark.parametrize(
    ("seeds", "level", "factor"),
    [(3, 0.95, 4.303 / 3**0.5), (5, 0.95, 2.776 / 5**0.5), (10, 0.95, 2.262 / 10**0.5), (3, 0.9, 2.920 / 3**0.5)],
)
def test_the_factor_is_that_of_printed_tables_of_t(seeds, level, factor):
    assert seed_factor(seeds, level) == pytest.approx(factor, abs=0.001)


def test_one_seed_says_nothing_of_the_luck_of_training():
    assert seed_factor(1) == float("inf")


def test_a_pair_worked_by_hand():
    # differences 1, 0, 0, -1, 1, 0, 0, 1: mean 1/4, squares' sum 4, SD √((4 - 8/16)/7)
    labels = [1] * 8
    a, b = [1, 1, 0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 0, 1, 1, 0]
    difference = paired_difference(a, b, labels)
    assert difference.mean == 0.25 and difference.by_seed == (0.25,)
    assert difference.half() == pytest.approx(1.96 * (3.5 / 7 / 8) ** 0.5, rel=1e-3)


def test_two_seeds_worked_by_hand():
    # per seed 0.75 and 0.5; per example 1, 1, 0.5, 0: variance 11/48. Within seeds 1/4 and 1/3, mean 7/24.
    # Examples' component: (2 · 11/48 - 7/24) / (2 - 1) = 1/6
    difference = paired_difference([[1, 1, 1, 0], [1, 1, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]], [1] * 4)
    assert difference.by_seed == (0.75, 0.5) and difference.mean == 0.625
    assert difference.exam == pytest.approx((1 / 6 / 4) ** 0.5)
    training = 12.706 / 2**0.5 * 0.25 / 2**0.5
    assert difference.half() == pytest.approx(np.hypot(training, 1.96 * difference.exam), rel=1e-3)


def test_where_only_chance_by_seed_is_at_work_the_exam_adds_nothing():
    assert paired_difference([[1, 0], [0, 1]], [[0, 0], [0, 0]], [1, 1]).exam == 0


def test_the_paired_interval_catches_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    caught = 0
    for _ in range(1000):
        a, b = rng.random(400) < 0.83, rng.random(400) < 0.80
        difference = paired_difference(a.astype(int), b.astype(int), [1] * 400)
        caught += abs(difference.mean - 0.03) <= difference.half()
    assert 0.93 <= caught / 1000 <= 0.97


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_with_both_kinds_of_luck_it_catches_the_truth_as_often_as_it_says(level):
    rng = np.random.default_rng(1)
    caught, studies, questions = 0, 2000, 800
    for _ in range(studies):
        liking = rng.normal(0.03, 0.2, size=questions)  # the exam: how much each question favours the one method
        level_of_run = rng.normal(0, 0.005, size=(3, 1))  # training: each pair of runs' own luck
        a = rng.random((3, questions)) < np.clip(0.6 + liking + level_of_run, 0, 1)
        b = rng.random((3, questions)) < 0.6
        difference = paired_difference(a.astype(int), b.astype(int), [1] * questions)
        caught += abs(difference.mean - 0.03) <= difference.half(level)
    assert level - 0.02 <= caught / studies <= level + 0.04


def test_a_difference_in_loss_worked_by_hand():
    # differences 2, 0, 3 on answers of 2, 4 and 4 tokens: 5/10 a token. Residuals 2 - 1, 0 - 2, 3 - 2: SD √(6/2)
    found = loss_difference([4, 8, 8], [2, 8, 5], [2, 4, 4])
    assert found.by_seed == (0.5,) and found.mean == 0.5
    assert found.exam == pytest.approx(3**0.5 * 3**0.5 / 10)
    assert found.half() == pytest.approx(1.96 * 0.3, rel=1e-3)


def test_two_seeds_of_a_loss_worked_by_hand():
    # 5/10 and 3/10 a token; residuals 1, -2, 1 and 1.4, -1.2, -0.2: variances 3 and 1.72, of their means 2.08;
    # the answers' component is 2 · 2.08 - (3 + 1.72) / 2 = 1.8
    found = loss_difference([[4, 8, 8], [4, 8, 6]], [[2, 8, 5], [2, 8, 5]], [2, 4, 4])
    assert found.by_seed == (0.5, 0.3) and found.exam == pytest.approx(1.8**0.5 * 3**0.5 / 10)
    training = 12.706 / 2**0.5 * 0.2 / 2**0.5
    assert found.half() == pytest.approx(np.hypot(training, 1.96 * found.exam), rel=1e-3)


def test_a_long_answer_weighs_more():
    # 1 nat a token lower on the long answer, 1 higher on the short one: (10 - 2) / 12
    assert loss_difference([4, 10], [2, 20], [2, 10]).mean == pytest.approx(-8 / 12)


def test_a_difference_that_is_the_same_at_every_token_has_no_luck():
    assert loss_difference([3, 6, 30], [2, 4, 20], [1, 2, 10]).exam == pytest.approx(0)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_a_loss_catches_the_truth_as_often_as_it_says(seeds):
    rng = np.random.default_rng(0)
    caught, studies, answers, truth = 0, 2000, 40, -0.1
    for _ in range(studies):
        tokens = rng.integers(15, 60, answers)
        a_token = truth + rng.normal(0, 0.25, answers)  # how much each question favours the one model
        luck = rng.normal(0, 0.02, (seeds, 1)) if seeds > 1 else 0  # each pair of runs' own
        noise = rng.normal(0, 1.5, (seeds, answers))
        b = 2.5 * tokens + rng.normal(0, 10, (seeds, answers))
        found = loss_difference(b + (a_token + luck) * tokens + noise, b, tokens)
        caught += abs(found.mean - truth) <= found.half()
    assert caught / studies >= 0.93


@pytest.mark.parametrize(
    ("mean", "exam", "expected"),
    [
        (0.0, 0.002, "equivalent"),
        (0.03, 0.002, "different"),
        (0.005, 0.002, "negligible"),
        (0.005, 0.02, "cannot_tell"),
    ],
)
def test_four_verdicts(mean, exam, expected):
    assert verdict(Difference((mean,), exam), margin=0.01) == expected


def from_seeds(*by_seed):
    """A difference that exam luck leaves alone: classic paired tests are about that."""
    return Difference(by_seed, exam=0.0)


def test_cohens_table_says_34_pairs_for_a_difference_of_half_a_deviation():
    spread = np.linspace(-1, 1, 34)
    found = from_seeds(*(spread / spread.std(ddof=1)))
    assert detectable(found) == pytest.approx(0.5, abs=0.01)
    assert detectable(Difference((0.0,), exam=1.0)) == pytest.approx(1.96 + 0.8416, abs=1e-3)


def test_what_is_detectable_is_found_as_often_as_said():
    rng, training, exam = np.random.default_rng(0), 0.4, 0.3
    design = Difference(tuple(training * np.array([-1, 1, -1, 1, 0]) / np.std([-1, 1, -1, 1, 0], ddof=1)), exam)
    truth = detectable(design)
    found = 0
    for _ in range(1000):
        by_seed = truth + rng.normal(0, exam) + rng.normal(0, training, size=5)
        of_these = Difference(tuple(by_seed), exam)
        found += abs(of_these.mean) > of_these.half()
    assert 0.74 <= found / 1000 <= 0.86


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_catches_the_truth_at_least_as_often_as_it_says(seeds):
    """Seeds, examples and both together move the score; 300 studies, so an error of 2.5 points is to be expected."""
    rng, caught = np.random.default_rng(seeds), 0
    for _ in range(300):
        question, run = rng.normal(0, 0.2, size=300), rng.normal(0, 0.012, size=(seeds, 1))
        values = 0.01 + question + run + rng.normal(0, 0.2, size=(seeds, 300))
        difference = loss_difference(values, np.zeros_like(values), [1] * 300)
        caught += abs(difference.mean - 0.01) < difference.half()
    assert caught / 300 > 0.925
