import json
import math
from dataclasses import dataclass, field, fields, replace

import pytest

from loralab.experiment import LATER, TASKS, DamagedResult, Experiment, Result
from loralab.files import write_atomically


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
        "experiment": experiment(train_size=4, test_size=2, batch_size=2, epochs=1),
        "test": {"accuracy": 0.5, "loss": 0.4},
        "predictions": [0, 1],
        "labels": [1, 1],
        "test_losses": [0.2, 0.6],
        "epochs": [{"loss": 0.1 + 0.2}],
        "loss_by_step": [1e-17, 0.3],
        "learning_rate_by_step": [1e-3, 5e-4],
        "parameters": {"total": 1},
        "seconds": {"training": 1.5},
        "memory": {},
        "tokens": {},
        "provenance": {"recipe": 2},
    }
    return Result(**{**values, **changes})


def answering(**changes):
    values = {"task": "generation", "dataset": "quixote-qa", "model": "smollm2-135m"}
    return experiment(**{**values, **changes})


def test_profile_is_provenance_and_not_identity():
    assert experiment(profile="cpu") == experiment(profile="study")
    assert experiment(profile="cpu").key == experiment(profile="study").key


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"rank": 4}, {"alpha": 8}, {"learning_rate": 2e-4}, {"precision": "fp16"}, {"split_seed": 1},
        {"target_modules": "all-linear"}, {"train_size": 11}, {"max_length": None}, {"method": "full"},
    ],
)  # fmt: skip
def test_what_changes_the_outcome_changes_the_key(change):
    assert experiment(**change).key != experiment().key


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "bf16"}, {"loss_on": "all"}, {"padding": "max_length"}, {"activation_checkpointing": True},
        {"rank": 4}, {"max_length": 64}, {"method": "full"}, {"method": "base"}, {"method": "few-shot"},
    ],
)  # fmt: skip
def test_what_changes_an_answering_model_changes_its_key(change):
    assert answering(**change).key != answering().key


def test_pissa_takes_whole_weights_apart():
    assert answering(method="pissa", weights="bf16")
    with pytest.raises(ValueError, match="weights cannot be 'nf4'"):
        answering(method="pissa", weights="nf4")


def test_what_is_computed_again_sees_no_prefix():
    assert answering(method="prompt", activation_checkpointing=True)
    with pytest.raises(ValueError, match="does not go with the method prefix"):
        answering(method="prefix", activation_checkpointing=True)


LORAS = {"rank": 4, "alpha": 1.0, "dropout": 0.1, "target_modules": "all-linear"}
GENERATIONS = {"loss_on": "all", "padding": "max_length", "activation_checkpointing": True}


@pytest.mark.parametrize(
    ("of", "method", "ignored"),
    [
        (answering, "retrieval", {"model": "other", "max_length": 9, "weights": "nf4", "seed": 1, "loss_on": "all"}),
        (answering, "base", {"seed": 1, "learning_rate": 0.5, "epochs": 9, "rank": 2, **GENERATIONS}),
        (answering, "few-shot", {"seed": 1, "learning_rate": 0.5, "rank": 2}),
        (answering, "full", LORAS),
        (experiment, "full", LORAS),
        (experiment, "tfidf", {"model": "other", "learning_rate": 0.5, "seed": 7, "rank": 2}),
        (experiment, "majority", {"epochs": 9, "batch_size": 2}),
        *((experiment, method, GENERATIONS) for method in ("head", "full", "lora", "majority", "tfidf", "frozen")),
    ],
)
def test_what_a_method_does_not_read_leaves_the_key(of, method, ignored):
    assert of(method=method, **ignored).key == of(method=method).key


@pytest.mark.parametrize("task", TASKS)
def test_identity_names_fields_that_there_are(task):
    names = {field.name for field in fields(Experiment)} - {"profile"}
    assert all(read <= names for read in TASKS[task].methods.values())
    assert set.union(*TASKS[task].methods.values()) <= names


def test_a_task_has_its_own_methods():
    with pytest.raises(ValueError, match=r"method cannot be 'head'\..*: retrieval, base, few-shot, full, lora, rslora"):
        answering(method="head")
    with pytest.raises(
        ValueError, match=r"method cannot be 'base'\..*: majority, tfidf, frozen, head, full, lora, rslora"
    ):
        experiment(method="base")


def test_padding_to_a_length_needs_one():
    with pytest.raises(ValueError, match="say how many tokens"):
        answering(padding="max_length", max_length=None)
    assert answering(padding="longest", max_length=None).max_length is None


@pytest.mark.parametrize("weights", ["bf16", "nf4"])
def test_what_is_trained_is_held_in_fp32(weights):
    assert answering(weights=weights).weights == weights
    with pytest.raises(ValueError, match=rf"weights cannot be '{weights}'. Choose one of: fp32\."):
        answering(method="full", weights=weights)


@dataclass(frozen=True, kw_only=True)
class Wider(Experiment):
    language: str = field(default="en", metadata=LATER)


def test_a_field_that_came_later_counts_only_where_it_is_set(monkeypatch):
    methods = TASKS["classification"].methods
    monkeypatch.setitem(methods, "lora", methods["lora"] | {"language"})
    values = vars(experiment())
    assert Wider(**values).key == experiment().key != Wider(**values, language="es").key


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
        ({"weights": "int8"}, "fp32, bf16, nf4"),
        ({"loss_on": "prompt"}, "answer, all"),
        ({"padding": "left"}, "longest, max_length"),
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


def answers(**changes):
    values = {
        "experiment": answering(train_size=4, test_size=2, batch_size=2, epochs=1),
        "test": {"chrf": 12.5, "loss": 0.82, "other_loss": 1.1},
        "predictions": ["¿Sí?", ""],
        "labels": ["Sí.", "No."],
        "questions": ["a?", "b?"],
        "answer_chrf": [25.0, 0.0],
        "test_losses": [],
        "answer_nats": [4.1, 1e-17],
        "answer_tokens": [2, 3],
        "other_nats": [1.5, 2.0, 4.3, 3.2],
        "other_tokens": [2, 2, 3, 3],
    }
    return result(**{**values, **changes})


@pytest.mark.parametrize("made", [result, answers])
def test_a_result_comes_back_as_it_was(tmp_path, made):
    made().save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == made()


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_half_a_result_is_damaged(tmp_path, cut):
    path = tmp_path / "result.json"
    result().save(path)
    path.write_text(path.read_text()[:cut])
    with pytest.raises(DamagedResult, match=r"result\.json"):
        Result.load(path)


CHANGES = [
    *((result, change) for change in ({"test": 3}, {"test": {}}, {"extra": []}, {"labels": None}, {"provenance": []})),
    *((result, change) for change in ({"labels": [1, 1, 1]}, {"predictions": [0]}, {"predictions": [1, 1]})),
    *((result, {"test": {"accuracy": score, "loss": 0.4}}) for score in (0.6, "0.5", None)),
    *((result, change) for change in ({"epochs": []}, {"loss_by_step": [0.3]}, {"test_losses": [0, 0.2]})),
    *((answers, change) for change in ({"questions": ["a?"]}, {"answer_tokens": [0, 0]}, {"answer_tokens": "2"})),
    *((answers, change) for change in ({"answer_nats": [4.1, 5.0]}, {"other_nats": []}, {"tokens": {"left_out": 3}})),
]  # fmt: skip


def altered(value):
    """Each way in which one value, somewhere in it, is another."""
    if isinstance(value, dict):
        yield from (value | {key: other} for key, each in value.items() for other in altered(each))
    elif isinstance(value, list):
        yield from ([*value[:i], other, *value[i + 1 :]] for i, each in enumerate(value) for other in altered(each))
    elif isinstance(value, str):
        yield value + " "
    elif value is None:
        yield 0
    else:
        yield not value if isinstance(value, bool) else value + 1


@pytest.mark.parametrize("made", [result, answers])
def test_no_value_of_a_result_can_be_another(tmp_path, made):
    path = tmp_path / "result.json"
    made().save(path)
    contents = list(altered(json.loads(path.read_text())))
    assert len(contents) > 40
    for content in contents:
        path.write_text(json.dumps(content))
        with pytest.raises(DamagedResult):
            Result.load(path)


@pytest.mark.parametrize(("made", "change"), CHANGES)
def test_an_edited_result_is_damaged(tmp_path, made, change):
    path = tmp_path / "result.json"
    made().save(path)
    content = json.loads(path.read_text()) | change
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedResult, match="not what was saved"):
        Result.load(path)
    del content["seal"]
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedResult, match="not what was saved"):
        Result.load(path)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_training_that_diverged_comes_back_as_it_was(tmp_path, loss):
    path = tmp_path / "result.json"
    scores = {"chrf": 12.5, "loss": loss, "perplexity": loss, "other_loss": loss}
    diverged = answers(test=scores, epochs=[{"loss": loss, "perplexity": loss}], answer_nats=[loss] * 2)
    diverged = replace(diverged, other_nats=[loss] * 4)
    replace(diverged, loss_by_step=[0.7, loss]).save(path)
    assert str(Result.load(path)) == str(replace(diverged, loss_by_step=[0.7, loss]))


@pytest.mark.parametrize("accumulated", [1, 2, 3])
def test_a_last_step_of_fewer_batches_counts(tmp_path, accumulated):
    run = experiment(train_size=7, test_size=2, batch_size=2, gradient_accumulation_steps=accumulated, epochs=1)
    steps = [0.5] * {1: 4, 2: 2, 3: 2}[accumulated]
    result(experiment=run, loss_by_step=steps, learning_rate_by_step=steps).save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json").loss_by_step == steps


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")  # a lone surrogate cannot be encoded
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["result.json"]
