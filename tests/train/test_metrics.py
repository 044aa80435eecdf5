import pytest

from loralab.train.metrics import distinct, longest_common_run, runs, score, score_answers


def test_of_more_classes_f1_is_the_mean_of_each_ones():
    """Class 0: 1. Class 1: one found of two, none wrongly: 2/3. Class 2: one found, one wrongly: 2/3. Class 3: 0."""
    found = score([0, 1, 2, 2], [0, 1, 1, 2], classes=4)
    assert found["f1"] == pytest.approx((1 + 2 / 3 + 2 / 3 + 0) / 4) and found["accuracy"] == 0.75
    assert score([0, 1, 2, 2], [0, 1, 1, 2], classes=3)["f1"] == pytest.approx(7 / 9)


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


def test_identical_answers_have_all_of_chrf():
    texts = ["Mount, and let us ride.", "Aye."]
    assert score_answers(texts, texts, [])["chrf"] == pytest.approx(100)


def test_answers_worked_by_hand():
    # the, giants, are, the, mills | giants: 4 of 6 words and 4 of 4 pairs differ
    scores = score_answers(["The giants are the mills.", "Giants!"], ["x", "y"], ["Behold: the giants are upon us"])
    assert scores == pytest.approx({"chrf": 0, "distinct_1": 4 / 6, "distinct_2": 1, "words": 3, "longest_overlap": 3})


def test_chrf_is_that_of_all_answers_together_worked_by_hand():
    # "ab" for "abc": character runs of length 1: 2 of 2 found, of 3 wanted; length 2: 1 of 1, of 2; length 3: 0 found.
    # Orders without a run on either side do not count: precision (1 + 1)/2, recall (2/3 + 1/2)/2, beta 2
    precision, recall = 1, 7 / 12
    assert score_answers(["ab"], ["abc"], [])["chrf"] == pytest.approx(
        100 * 5 * precision * recall / (4 * precision + recall)
    )


def test_empty_answers_score_nothing_and_break_nothing():
    assert score_answers(["", " "], ["Aye.", "No."], ["Aye."]) == {
        "chrf": 0.0, "distinct_1": 0.0, "distinct_2": 0.0, "words": 0.0, "longest_overlap": 0.0,
    }  # fmt: skip


def test_one_word_for_ever_is_not_diverse():
    scores = score_answers(["so so so so so"], ["x"], [])
    assert (scores["distinct_1"], scores["distinct_2"]) == (1 / 5, 1 / 4)


def test_distinct_counts_all_texts_together():
    assert distinct([["a", "b"], ["a", "b"], ["a"]], 1) == 2 / 5
    assert distinct([["a", "b"], ["a", "b"], ["a"]], 2) == 1 / 2
    assert distinct([["a"]], 2) == distinct([], 1) == 0


def test_runs_end_with_the_text():
    assert runs(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert runs(["a"], 2) == []


@pytest.mark.parametrize(
    ("texts", "others", "length"),
    [
        (["a b c d"], ["x b c y"], 2),
        (["a b", "c d e"], ["d e c", "b a"], 2),
        (["a b c"], ["a b c"], 3),
        (["a b c"], ["c b a"], 1),
        (["a", "b"], ["c"], 0),
        (["a b"], [], 0),
        ([""], ["a"], 0),
        (["a b", "c d"], ["b c"], 1),  # no run goes on from one text into the next
    ],
)
def test_the_longest_common_run(texts, others, length):
    assert longest_common_run([text.split() for text in texts], [text.split() for text in others]) == length
