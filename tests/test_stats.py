import numpy as np
import pytest

from loralab.stats import Difference, half_width, paired_difference, seed_factor, verdict


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


def test_unequal_seeds_do_not_make_pairs():
    with pytest.raises(ValueError, match="!="):
        paired_difference([[1, 1], [0, 1]], [[1, 1]], [1, 1])


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
