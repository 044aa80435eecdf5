"""film-reviews-unseen: an exam that no result of the first study was tested on."""

import pandas as pd
import pytest

from loralab.data import splits as data
from loralab.data.splits import load_rows, load_splits, whole_texts
from loralab.data.texts import find_duplicates, find_near_duplicates

SIZES = {"train_size": 2000, "validation_size": 500, "test_size": 4000}
OUTSIDE = 4065


@pytest.fixture
def first(smoke):
    """The first study's splits, whatever profiles.toml says today."""
    return load_splits(smoke.experiment("lora", dataset="film-reviews", split_seed=0, **SIZES))


@pytest.fixture
def unseen(smoke):
    return smoke.experiment("lora", dataset="film-reviews-unseen", split_seed=0, **SIZES)


def texts_of(frame):
    return set(frame["text"])


def test_no_sentence_of_the_exam_was_in_the_first_study(first, unseen):
    exam = load_splits(unseen).test
    assert len(exam) == 4000
    everything = pd.concat([exam, *(frame for _, frame in first.items())])
    assert len(everything) == 4000 + 6500 and everything.index.is_unique
    texts = whole_texts(everything)
    assert not find_duplicates(texts) and not find_near_duplicates(texts)


@pytest.mark.parametrize("split_seed", [0, 1, 7])
@pytest.mark.parametrize("sizes", [SIZES, {"train_size": 300, "validation_size": 100, "test_size": 1000}])
def test_each_split_comes_from_its_own_part(first, unseen, sizes, split_seed):
    splits = load_splits(unseen.but(split_seed=split_seed, **sizes))
    assert [len(frame) for _, frame in splits.items()] == list(sizes.values())
    assert texts_of(splits.train) <= texts_of(first.train)
    assert texts_of(splits.validation) <= texts_of(first.validation)
    assert not texts_of(splits.test) & {text for _, frame in first.items() for text in frame["text"]}
    assert {tuple(frame.columns) for _, frame in splits.items()} == {("text", "label")}
    for _, frame in splits.items():
        assert frame["label"].mean() == pytest.approx(0.496, abs=max(0.001, 1 / len(frame)))


def test_another_seed_draws_another_exam_and_other_sizes_the_same(unseen):
    exam = load_splits(unseen).test
    assert list(load_splits(unseen.but(train_size=64, validation_size=32)).test["text"]) == list(exam["text"])
    assert texts_of(load_splits(unseen.but(split_seed=1)).test) != texts_of(exam)
    assert texts_of(load_splits(unseen.but(train_size="all")).train) == texts_of(load_splits(unseen).train)


def test_the_same_experiment_has_the_same_rows(first, unseen):
    for cached in (data._clean, data._load_known):
        cached.cache_clear()
    assert load_splits(unseen).fingerprint() == "5132635d065ec3f3"
    assert first.fingerprint() == "4fe2df23ec4006ba"


def test_its_rows_and_the_copies_taken_out_are_those_of_the_film_reviews(first, unseen):
    frame, _ = load_rows("film-reviews-unseen")
    films, _ = load_rows("film-reviews")
    assert frame[["text", "label"]].equals(films[["text", "label"]])
    counted = ("rows", "zero_rating", "duplicates", "near_duplicates")
    report = load_splits(unseen).report
    assert [report[name] for name in counted] == [first.report[name] for name in counted] == [10605, 37, 2, 1]
    copies = report["duplicates"] + report["near_duplicates"]
    there = {"test": OUTSIDE, "seen": 4000 + copies, "train": 2000, "validation": 500}
    assert frame["part"].value_counts().to_dict() == there


@pytest.mark.parametrize(
    ("split", "given", "there"), [("train", 2001, 2000), ("validation", 501, 500), ("test", 4066, OUTSIDE)]
)
def test_asking_for_more_than_there_is_says_what_there_is(unseen, split, given, there):
    with pytest.raises(ValueError, match=f"The {split} split asks for {given} examples and {there} are left"):
        load_splits(unseen.but(**{f"{split}_size": given}))
    assert len(getattr(load_splits(unseen.but(**{f"{split}_size": there})), split)) == there
