import json

import pytest

from loralab.experiment import DamagedResult, Experiment, Result, write_atomically


def experiment(**changes):
    values = {
        "dataset": "film-reviews",
        "model": "minilm-l6",
        "method": "lora",
        "train_size": 10,
        "validation_size": 10,
        "test_size": 10,
    }
    return Experiment(**{**values, **changes})


def result(**changes):
    values = {
        "experiment": experiment(),
        "test": {"accuracy": 0.5},
        "predictions": [0, 1],
        "labels": [1, 1],
        "epochs": [{"loss": 0.1 + 0.2}],
        "loss_by_step": [1e-17, 0.3],
        "learning_rate_by_step": [1e-3, 5e-4],
        "parameters": {"total": 1},
        "seconds": {"training": 1.5},
        "memory": {},
        "tokens": {},
        "provenance": {"code": "a"},
    }
    return Result(**{**values, **changes})


def test_profile_is_provenance_and_not_identity():
    assert experiment(profile="cpu") == experiment(profile="study")
    assert experiment(profile="cpu").key == experiment(profile="study").key


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"rank": 4},
        {"alpha": 8},
        {"learning_rate": 2e-4},
        {"precision": "fp16"},
        {"split_seed": 1},
        {"target_modules": "all-linear"},
        {"train_size": 11},
        {"max_length": None},
        {"method": "full"},
    ],
)
def test_what_changes_the_outcome_changes_the_key(change):
    assert experiment(**change).key != experiment().key


@pytest.mark.parametrize(
    ("method", "ignored"),
    [
        ("full", {"rank": 4, "alpha": 1.0, "dropout": 0.1, "target_modules": "all-linear"}),
        ("tfidf", {"model": "other", "learning_rate": 0.5, "seed": 7, "rank": 2}),
        ("majority", {"epochs": 9, "batch_size": 2}),
    ],
)
def test_what_a_method_does_not_read_leaves_the_key(method, ignored):
    assert experiment(method=method, **ignored).key == experiment(method=method).key


def test_spelling_leaves_the_key():
    assert experiment(alpha=16).key == experiment(alpha=16.0).key
    assert experiment(dropout=0, weight_decay=0).key == experiment(dropout=0.0, weight_decay=0.0).key
    assert experiment(target_modules=["query"]).key == experiment(target_modules=("query",)).key


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": "lorra"}, "majority, tfidf, frozen, head, full, lora"),
        ({"task": "translation"}, "classification"),
        ({"precision": "fp8"}, "fp32"),
        ({"rank": 0}, "rank"),
        ({"epochs": 1.5}, "epochs"),
        ({"train_size": True}, "train_size"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": "0.1"}, "dropout"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"max_length": 0}, "max_length"),
        ({"seed": -1}, "seed"),
        ({"split_seed": 1.5}, "split_seed"),
    ],
)
def test_a_bad_value_is_named_with_what_it_can_be(change, named):
    with pytest.raises(ValueError, match=named) as error:
        experiment(**change)
    assert str(next(iter(change.values()))) in str(error.value)


def test_scale_is_alpha_over_r():
    assert experiment(rank=8, alpha=16).scale == 2


def test_a_result_comes_back_as_it_was(tmp_path):
    result().save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == result()


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_half_a_result_is_damaged(tmp_path, cut):
    path = tmp_path / "result.json"
    result().save(path)
    path.write_text(path.read_text()[:cut])
    with pytest.raises(DamagedResult, match=r"result\.json"):
        Result.load(path)


@pytest.mark.parametrize("change", [{"test": 3}, {"test": {}}, {"extra": []}, {"labels": None}, {"provenance": []}])
def test_a_result_of_another_form_is_damaged(tmp_path, change):
    path = tmp_path / "result.json"
    result().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DamagedResult):
        Result.load(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")  # a lone surrogate cannot be encoded
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["result.json"]
