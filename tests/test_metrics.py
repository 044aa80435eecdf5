import pytest

from loralab.metrics import score


def test_worked_by_hand():
    # 6 true and 1 false positives, 3 true and 2 false negatives
    predictions = [1] * 6 + [1] * 1 + [0] * 3 + [0] * 2
    labels = [1] * 6 + [0] * 1 + [0] * 3 + [1] * 2
    assert score(predictions, labels) == pytest.approx(
        {"accuracy": 9 / 12, "f1": 2 * 6 / (2 * 6 + 1 + 2), "mcc": (6 * 3 - 1 * 2) / (7 * 8 * 4 * 5) ** 0.5}
    )


def test_one_answer_for_all_has_no_correlation():
    assert score([1] * 200, [1] * 195 + [0] * 5) == pytest.approx(
        {"accuracy": 0.975, "f1": 0.98734, "mcc": 0}, abs=1e-5
    )
