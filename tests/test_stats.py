import numpy as np
import pytest

from loralab.stats import half_width, paired_difference


@pytest.mark.parametrize(("accuracy", "examples", "points"), [(0.83, 2000, 1.65), (0.92, 25000, 0.34), (0.5, 100, 9.8)])
def test_half_width_worked_by_hand(accuracy, examples, points):
    assert 100 * half_width(accuracy, examples) == pytest.approx(points, abs=0.01)


def test_a_pair_worked_by_hand():
    # differences 1, 0, 0, -1, 1, 0, 0, 1: mean 1/4, squares' sum 4, SD √((4 - 8/16)/7)
    labels = [1] * 8
    a, b = [1, 1, 0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 0, 1, 1, 0]
    difference, half = paired_difference(a, b, labels)
    assert difference == 0.25
    assert half == pytest.approx(1.96 * (3.5 / 7 / 8) ** 0.5, rel=1e-3)


def test_the_paired_interval_catches_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    caught = 0
    for _ in range(1000):
        a, b = rng.random(400) < 0.83, rng.random(400) < 0.80
        difference, half = paired_difference(a.astype(int), b.astype(int), [1] * 400)
        caught += abs(difference - 0.03) <= half
    assert 0.93 <= caught / 1000 <= 0.97
