import os
import random
import subprocess
import sys
from itertools import combinations

import datasets
import numpy as np
import pandas as pd
import pytest

from loralab.data import splits as data
from loralab.data.splits import editorials, film_reviews, load_splits, remove_duplicates
from loralab.data.texts import check_rows, find_duplicates, find_near_duplicates, words
from loralab.lessons.by_hand import metric_of, rater_agreement


def test_published_counts_of_the_film_reviews():
    reviews = film_reviews()
    rating = reviews["rating"]
    assert reviews["ratings"].map(len).between(15, 29).all()
    assert ((rating > 0).sum(), (rating < 0).sum(), (rating == 0).sum()) == (5242, 5326, 37)


def test_the_editorials_are_whole_sentences():
    sentences = editorials()
    assert len(sentences) == 5190 and all(sentence.strip() for sentence in sentences)


def test_duplicates_are_the_same_words_in_the_same_order():
    texts = ["Horrible.", "A joy!", "horrible", "joy a", "HORRIBLE!!", "not horrible"]
    assert find_duplicates(texts) == [(0, 2), (0, 4)]


def test_near_duplicates_worked_by_hand():
    texts = ["a b c d e", "a b c d", "a b c x y", "e d c b a"]
    # 4/5 shared; the same set; {a, b, c} of seven words is far below
    assert find_near_duplicates(texts) == [(0, 1, 0.8), (0, 3, 1.0), (1, 3, 0.8)]


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_near_duplicates_agree_with_comparing_all_pairs(threshold):
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefghij", k=rng.randint(1, 12))) for _ in range(150)]
    sets = [set(words(text)) for text in texts]
    expected = [
        (i, j) for i, j in combinations(range(150), 2) if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= threshold
    ]
    assert sorted((i, j) for i, j, _ in find_near_duplicates(texts, threshold)) == expected


def test_the_training_copy_goes_and_the_test_one_stays():
    frame = pd.DataFrame(
        {
            "text": ["so bad it hurts", "great", "So bad, it hurts!", "fine"],
            "label": [0, 1, 0, 1],
            "part": ["train", "train", "test", "test"],
        }
    )
    kept, removed = remove_duplicates(frame)
    assert sorted(kept.index) == [1, 2, 3]
    assert removed == {"duplicates": 1, "near_duplicates": 0}


def test_splits_are_disjoint_stratified_and_without_copies(smoke):
    splits = load_splits(smoke.experiment("lora", train_size=2000, validation_size=1000, test_size=4000))
    frames = dict(splits.items())
    everything = pd.concat(frames.values())
    assert {name: len(frame) for name, frame in frames.items()} == {"train": 2000, "validation": 1000, "test": 4000}
    assert everything.index.is_unique
    assert not find_duplicates(list(everything["text"]))
    assert not find_near_duplicates(list(everything["text"]))
    shares = [frame["label"].mean() for frame in frames.values()]
    assert max(shares) - min(shares) < 0.001
    assert splits.report["zero_rating"] == 37 and splits.report["duplicates"] > 0


def test_the_split_depends_on_its_seed_alone(smoke):
    first = load_splits(smoke.experiment("lora"))
    data._clean.cache_clear()
    random.seed(99)
    assert load_splits(smoke.experiment("full", seed=5)).fingerprint() == first.fingerprint()
    assert load_splits(smoke.experiment("lora", split_seed=1)).fingerprint() != first.fingerprint()


def test_a_larger_training_set_leaves_the_test_alone(smoke):
    small, large = (load_splits(smoke.experiment("lora", train_size=size)) for size in (64, 500))
    assert list(small.test["text"]) == list(large.test["text"])


def test_what_one_caller_changes_the_next_does_not_see(smoke):
    first = load_splits(smoke.experiment("lora"))
    before = first.fingerprint()
    first.train["text"] = "spoilt"
    assert load_splits(smoke.experiment("lora")).fingerprint() == before


def test_asking_for_more_than_there_is(smoke):
    with pytest.raises(ValueError, match=r"train split asks for 20000 examples and 10517 are left"):
        load_splits(smoke.experiment("lora", train_size=20000))


@pytest.mark.parametrize("size", [1, 10564])
def test_a_split_that_cannot_hold_both_classes(smoke, size):
    with pytest.raises(ValueError, match=f"test split asks for {size} examples"):
        load_splits(smoke.experiment("lora", test_size=size))


@pytest.mark.parametrize(
    ("text", "label", "said"),
    [
        (" ", 1, "Row 7 holds ' ', not a text"),
        (None, 1, "Row 7 holds nan, not a text"),
        (3.5, 0, r"holds 3\.5"),
        ("fine", -1, "row 7 is -1"),
    ],
)
def test_a_bad_row_is_named(text, label, said):
    with pytest.raises(ValueError, match=said):
        check_rows(pd.DataFrame({"text": ["good", text], "label": [1, label]}, index=[3, 7]))


@pytest.fixture
def hub_data(tmp_path, monkeypatch):
    """A data set in the hub's layout and IMDB's schema, which datasets loads from its folder."""
    for part, count in (("train", 80), ("test", 40), ("unsupervised", 3)):
        rows = {
            "text": [f"review {part} {i} {'good' if i % 2 else 'bad'}" for i in range(count)],
            "label": [-1 if part == "unsupervised" else i % 2 for i in range(count)],
        }
        datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "hub" / f"{part}-00000-of-00001.parquet")
    row = {"hub": str(tmp_path / "hub"), "revision": None, "columns": ["text"]}
    monkeypatch.setattr(data, "asset", lambda kind, name: row)
    data._load_known.cache_clear()
    data._clean.cache_clear()
    yield
    data._load_known.cache_clear()
    data._clean.cache_clear()


def test_a_hub_data_set_keeps_its_own_border(smoke, hub_data):
    splits = load_splits(smoke.experiment("lora", dataset="imdb", train_size=40, validation_size=20, test_size=30))
    assert all("review test" in text for text in splits.test["text"])
    assert all("review train" in text for text in (*splits.train["text"], *splits.validation["text"]))
    assert set(splits.train["label"]) == {0, 1}


def test_other_training_sizes_sit_the_same_exam(smoke, hub_data):
    sizes = {"dataset": "imdb", "validation_size": 10, "test_size": 20}
    few, most = (load_splits(smoke.experiment("lora", train_size=size, **sizes)) for size in (30, "all"))
    assert list(few.test["text"]) == list(most.test["text"])
    assert len(most.train) == 80 - 10 and not set(most.train["text"]) & set(most.validation["text"])


def test_all_takes_what_validation_and_test_leave(smoke):
    splits = load_splits(smoke.experiment("lora", train_size="all", validation_size=1000, test_size=4000))
    report = splits.report
    assert report["train"] == 10605 - 37 - report["duplicates"] - report["near_duplicates"] - 5000
    pairs = load_splits(smoke.generation.experiment("lora", train_size="all"))
    assert len(pairs.train) == 28 * 16


@pytest.mark.parametrize(
    ("dataset", "rows", "positive", "metric"),
    [
        ("amazon-reviews", 3708, 2128, "accuracy"),
        ("tweets", 4200, 2897, "mcc"),
        ("film-reviews", 10605, 5242, "accuracy"),
    ],
)
def test_the_other_rated_texts(dataset, rows, positive, metric):
    frame, report = data.load_rows(dataset)
    assert (report["rows"], frame["label"].sum(), metric_of(dataset)) == (rows, positive, metric)


def test_pairs_of_snippets_hold_each_snippet_once_and_are_as_often_one_way():
    frame, _ = data.load_rows("film-pairs")
    used = [*frame["text"], *frame["text_pair"]]
    rating = film_reviews().drop_duplicates("text").set_index("text")["rating"]
    gap = rating[frame["text"]].to_numpy() - rating[frame["text_pair"]].to_numpy()
    assert len(set(used)) == len(used)
    assert (abs(gap) >= 1).all() and ((gap > 0) == frame["label"]).all()
    assert 0.45 < frame["label"].mean() < 0.55
    assert len(frame) > 3000


def test_pairs_go_through_the_splits_with_both_texts(smoke):
    splits = load_splits(smoke.experiment("lora", dataset="film-pairs"))
    assert list(splits.train.columns) == ["text", "text_pair", "label"]
    known = {*splits.train["text"], *splits.train["text_pair"]}
    assert not known & {*splits.test["text"], *splits.test["text_pair"]}


def test_a_data_set_without_labels_names_one_that_has_them(smoke):
    with pytest.raises(ValueError, match=r"quixote-qa has no labelled texts.*film-reviews"):
        load_splits(smoke.experiment("lora", dataset="quixote-qa"))


def test_without_the_hub_one_is_told_what_to_do(tmp_path):
    code = """
from loralab.data.assets import AssetError
from loralab.data.hub import locate
from loralab.data.splits import load_splits
from loralab.profiles import load_profile
for call in (lambda: load_splits(load_profile("t4").experiment("lora")), lambda: locate("distilbert-base-uncased")):
    try:
        call()
    except AssetError as error:
        print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    said = done.stdout.splitlines()
    assert len(said) == 2 and all(line.endswith("Check the connection, or use the cpu profile.") for line in said)


@pytest.mark.parametrize(
    ("ratings", "share"),
    [
        ([1, 2, 3], 1.0),
        ([-1, 3, 3, 3], 0.75),  # the one against is wrong, the others are right
        ([0, 2, 2], 2.5 / 3),
        ([1, -1, 2], 1 / 2),  # for the person who said 2 the others cancel out
    ],
)
def test_agreement_worked_by_hand(ratings, share):
    assert rater_agreement(ratings) == pytest.approx(share)


def test_nobody_to_agree_with():
    assert np.isnan(rater_agreement([3]))
