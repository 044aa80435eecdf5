import re

import datasets
import pandas as pd
import pytest

from loralab.data import splits
from loralab.data.assets import AssetError
from loralab.data.splits import COLUMNS, load_pairs, load_splits, question_answer_splits
from loralab.data.texts import words
from loralab.train.metrics import runs

SETS = {"quixote-qa": (672, 42), "sancho-qa": (144, 9)}


@pytest.fixture(params=SETS)
def written(request):
    """A data set of the course, whole."""
    return request.param, load_pairs(request.param)[0]


def test_the_courses_own_sets_have_the_size_that_is_promised(written):
    name, frame = written
    rows, topics = SETS[name]
    assert list(frame.columns) == COLUMNS and len(frame) == rows and frame["topic"].nunique() == topics
    assert set(frame["topic"].value_counts()) == {16}
    assert load_pairs(name)[1] == {"rows": rows, "incomplete": 0, "duplicates": 0}
    assert frame["instruction"].nunique() == 1


def test_no_two_answers_share_eight_words_in_a_row(written):
    _, frame = written
    seen = [run for answer in frame["output"] for run in set(runs(words(answer), 8))]
    assert len(seen) == len(set(seen))


def test_questions_are_distinct_and_answers_short(written):
    _, frame = written
    assert frame["input"].map(lambda question: " ".join(words(question))).is_unique
    ends = frame["output"].map(lambda answer: len(re.findall(r"[.!?](?=[\s'\"]|$)", answer)))
    assert ends.between(1, 3).all()
    assert all(text.isascii() for column in COLUMNS for text in frame[column])
    assert frame["output"].map(len).min() > 20


def split(sizes=(96, 24, 32), seed=0, dataset="quixote-qa"):
    return question_answer_splits(dataset, sizes, seed)


def test_no_topic_is_in_two_splits():
    *parts, report = split()
    assert [len(part) for part in parts] == [96, 24, 32]
    topics = [set(part["topic"]) for part in parts]
    assert not topics[0] & topics[1] and not topics[0] & topics[2] and not topics[1] & topics[2]
    assert all(list(part.columns) == COLUMNS for part in parts)
    counted = {"train": 96, "validation": 24, "test": 32}
    counted |= {f"{name}_topics": len(own) for name, own in zip(counted, topics, strict=True)}
    assert report == {"rows": 672, "incomplete": 0, "duplicates": 0} | counted


def test_a_fifth_of_the_topics_is_the_tests():
    # 42 topics of 16 pairs: 9 (a fifth, rounded up), 5 of the 33 that are left (an eighth, rounded up), 28
    *parts, report = split(sizes=(28 * 16, 5 * 16, 9 * 16))
    assert [part["topic"].nunique() for part in parts] == [28, 5, 9]
    assert report["test"] / report["rows"] == pytest.approx(0.2, abs=0.02)
    assert sum(map(len, parts)) == report["rows"]


@pytest.mark.parametrize("size", [1, 28, 29, 96, 200])
def test_the_first_rows_spread_over_the_topics(size):
    train = split(sizes=(size, 1, 1))[0]
    each = train["topic"].value_counts().reindex(split(sizes=(448, 1, 1))[0]["topic"].unique(), fill_value=0)
    assert each.max() - each.min() <= 1


def test_a_larger_size_has_the_same_first_rows():
    small, large = split(), split(sizes=(200, 40, 60))
    for few, many in zip(small[:3], large[:3], strict=True):
        pd.testing.assert_frame_equal(few, many.head(len(few)))


def test_the_seed_decides_the_split():
    first, again, other = split(), split(), split(seed=1)
    for part, same, changed in zip(first[:3], again[:3], other[:3], strict=True):
        pd.testing.assert_frame_equal(part, same)
        assert list(part["input"]) != list(changed["input"])
    assert set(first[2]["topic"]) != set(other[2]["topic"])


@pytest.mark.parametrize(("sizes", "said"), [((449, 1, 1), "train"), ((1, 81, 1), "validation"), ((1, 1, 145), "test")])
def test_asking_for_more_than_there_is(sizes, said):
    with pytest.raises(
        ValueError, match=rf"{said} split asks for {max(sizes)} questions and its topics have {max(sizes) - 1}"
    ):
        split(sizes=sizes)


def test_an_experiment_gets_its_splits(smoke):
    experiment = smoke.generation.experiment("lora")
    splits = load_splits(experiment)
    assert {name: len(part) for name, part in splits.items()} == {"train": 2, "validation": 1, "test": 2}
    assert load_splits(experiment.but(method="retrieval", seed=7)).fingerprint() == splits.fingerprint()
    assert load_splits(experiment.but(split_seed=1)).fingerprint() != splits.fingerprint()


def test_what_one_caller_changes_the_next_does_not_see(smoke):
    experiment = smoke.generation.experiment("lora")
    first = load_splits(experiment)
    before = first.fingerprint()
    first.train.loc[:, "output"] = "spoilt"
    assert load_splits(experiment).fingerprint() == before


def test_the_second_persona_answers_as_itself(smoke):
    splits = load_splits(smoke.generation.on("sancho-qa").experiment("lora"))
    assert all("Sancho" in instruction for instruction in splits.train["instruction"])


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Writes a data set in the hub's layout, which datasets loads from its folder."""

    def write(**columns):
        datasets.Dataset.from_dict(columns).to_parquet(tmp_path / "hub" / "train-00000-of-00001.parquet")

    row = {"hub": str(tmp_path / "hub"), "revision": None}
    monkeypatch.setattr(splits, "asset", lambda kind, name: row)
    splits._load.cache_clear()
    splits._parts_of.cache_clear()
    yield write
    splits._load.cache_clear()
    splits._parts_of.cache_clear()


def hub_columns(count=50):
    """The schema of the data that the course grew out of."""
    return {
        "instruction": ["Answer as he would."] * count,
        "input": [f"Question {i}?" for i in range(count)],
        "output": [f"Answer {i}." for i in range(count)],
        "__index_level_0__": list(range(count)),
    }


def test_a_hub_data_set_without_topics(hub):
    columns = hub_columns()
    columns["output"][:5] = ["", "   ", None, "https://t.co/abc", "http://a.b/c https://t.co/d "]
    columns["output"][5] = "See https://t.co/abc for it."
    columns["input"][7], columns["output"][7] = columns["input"][6], columns["output"][6]  # the same row twice
    columns["input"][9] = "question 8"  # the same question, another answer
    hub(**columns)
    frame, report = load_pairs("trump-qa")
    assert report == {"rows": 50, "incomplete": 5, "duplicates": 1}
    assert list(frame.columns) == COLUMNS and list(frame.index) == [5, 6, *range(8, 50)]
    assert frame.loc[8, "topic"] == frame.loc[9, "topic"] == "question 8"
    assert frame.loc[5, "output"] == "See https://t.co/abc for it."


@pytest.mark.parametrize("seed", range(5))
def test_one_question_is_never_on_both_sides(hub, seed):
    columns = hub_columns(60)
    columns["input"] = [f"Question {i // 3}?" for i in range(60)]
    hub(**columns)
    train, validation, test, report = question_answer_splits("trump-qa", (42, 6, 12), seed)
    asked = [set(part["input"]) for part in (train, validation, test)]
    assert len(set.union(*asked)) == sum(map(len, asked)) == 20
    assert report["test"] / report["rows"] == pytest.approx(0.2)


def test_texts_are_kept_without_the_space_around_them(hub):
    hub(**hub_columns(3) | {"output": ["  Aye. \n", "No.", "So."]})
    assert list(load_pairs("trump-qa")[0]["output"]) == ["Aye.", "No.", "So."]


def test_a_missing_column_is_named(hub):
    columns = hub_columns()
    columns["answer"] = columns.pop("output")
    hub(**columns)
    with pytest.raises(
        ValueError, match=r"missing: output\. The data set has: instruction, input, __index_level_0__, ans"
    ):
        load_pairs("trump-qa")


@pytest.mark.parametrize("question", ["", "  ", None])
def test_a_row_without_a_question_is_left_out_and_counted(hub, question):
    columns = hub_columns()
    columns["input"][11] = question
    hub(**columns)
    frame, report = load_pairs("trump-qa")
    assert report["incomplete"] == 1 and 11 not in frame.index and len(frame) == 49


def test_a_data_set_of_another_kind_names_one_that_fits():
    with pytest.raises(ValueError, match=r"film-reviews has no questions with answers.*quixote-qa"):
        load_pairs("film-reviews")


def test_a_hub_data_set_that_is_not_there(hub):
    with pytest.raises(AssetError, match="Check the connection"):
        load_pairs("trump-qa")
