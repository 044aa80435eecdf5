"""Golden runs: tiny trainings whose numbers are kept in golden.json, so that none moves unnoticed.

After a change that is meant to move them, raise RECIPE; `python tests/train/test_golden.py` keeps the new numbers.
"""

import json
import math
import os
import re
import sys
import tempfile
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import peft
import pytest
import torch
from small import few_layers

from loralab.experiment import RECIPE, TASKS, Experiment
from loralab.train import chat, tokens
from loralab.train import trainer as training
from loralab.train.run import VERSIONED, run

KEPT = Path(__file__).with_name("golden.json")
AGAIN = "write tests/train/golden.json anew with `python tests/train/test_golden.py`"
CONSTRAINTS = dict(re.findall("^(.+)==(.+)$", (KEPT.parents[2] / "constraints.txt").read_text(), re.MULTILINE))
VERSIONS = {name: CONSTRAINTS[name] for name in VERSIONED}
OTHERS = ", ".join(f"{name} {version(name)}" for name in VERSIONS if version(name).split("+")[0] != VERSIONS[name])
pinned = pytest.mark.skipif(bool(OTHERS), reason=f"not constraints.txt's, and may round otherwise: {OTHERS}")
# Relative. What imitates other CPUs (2 threads; older instructions for torch, oneDNN and MKL; weights that are wrong in
# their last bit) moved no number by more than 2.2e-6. The weakest mutation below, weight decay 0, moves one by 2.5e-4.
TOLERANCE = 3e-5

# With every value written out that matters: what a profile or a default comes to be moves nothing here.
CLASSIFYING = Experiment(
    task="classification", dataset="film-reviews", model="minilm-l6", method="lora", train_size=32, validation_size=16,
    test_size=32, split_seed=0, max_length=128, rank=8, alpha=16.0, dropout=0.0, target_modules="default",
    virtual_tokens=8, learning_rate=1e-2, epochs=2, batch_size=8, gradient_accumulation_steps=1, weight_decay=0.1,
    warmup_ratio=0.06, precision="fp32", seed=0, examined=True,
)  # fmt: skip
ANSWERING = CLASSIFYING.but(
    task="generation", dataset="quixote-qa", model="smollm2-135m", train_size=6, validation_size=1, test_size=1,
    max_length=112, learning_rate=4e-3, epochs=1, batch_size=2, warmup_ratio=0.0, weights="fp32", loss_on="answer",
    padding="longest", activation_checkpointing=False, max_new_tokens=4,
)  # fmt: skip
RATES = {
    CLASSIFYING: {"head": 2e-3, "full": 2e-4, "pissa": 5e-3, "ia3": 5e-3},
    ANSWERING: {"full": 2e-4, "rslora": 2e-3, "pissa": 1e-3, "ia3": 5e-2, "prompt": 0.1, "prefix": 2e-2},
}
# The exam is the same for all that trains: one run of each task sits it.
SITS = {"classification": "head", "generation": "lora"}


def of_method(base, method):
    chosen = base.but(method=method, learning_rate=RATES[base].get(method, base.learning_rate))
    return chosen.but(examined=not chosen.trains or method == SITS[base.task])


RUNS = {
    **{f"{base.task}-{method}": of_method(base, method) for base in RATES for method in TASKS[base.task].methods},
    "classification-accumulation": CLASSIFYING.but(batch_size=5, gradient_accumulation_steps=3, examined=False),
    "generation-padding": ANSWERING.but(padding="max_length", loss_on="all", examined=False),
}
SHARP = "classification-lora"
# `make test-all` alone runs these: the others go the same ways.
REPEATED = {f"{task}-{method}" for task in TASKS for method in ("rslora", "pissa", "ia3", "prompt")}
REPEATED |= {"generation-dora", "generation-prefix", "generation-full"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    assert not torch.cuda.is_available(), "the golden runs are a CPU's: set CUDA_VISIBLE_DEVICES= as `make unit` does"
    few_layers(monkeypatch)
    training.encode_splits.cache_clear()  # what a test changes of it is not for the next


@cache
def golden():
    return json.loads(KEPT.read_text())


def numbers(result):
    """What is kept of a result: losses, or a baseline's score, and counts. Text is not: rounding can turn a word."""
    found = {f"training loss {step}": loss for step, loss in enumerate(result.loss_by_step, 1)}
    found |= {f"validation loss {epoch}": scores["loss"] for epoch, scores in enumerate(result.epochs, 1)}
    found |= {f"test {name}": result.test[name] for name in ("loss", "other_loss") if name in result.test}
    always = {"classification": "accuracy", "generation": "chrf"}[result.experiment.task]
    found = found or {f"test {always}": result.test[always]}
    counts = {f"{kind} {name}": n for kind in ("parameters", "tokens") for name, n in getattr(result, kind).items()}
    return {name: float(f"{value:.8g}") for name, value in found.items()} | counts


def moved(name, found, tolerance=TOLERANCE):
    """A line for each number that is further than the tolerance from what was kept; counts have to be the same."""
    kept, lines = golden()["runs"].get(name, {}), []
    for what in kept | found:
        was, now = kept.get(what), found.get(what)
        if isinstance(was, float) and isinstance(now, float):
            if not (math.isfinite(now) and abs(now - was) <= tolerance * abs(was)):
                away = f"{abs(now / was - 1):.3%} away, where {tolerance:.3%} may be rounding"
                lines.append(f"{what} was {was} and is {now}: {away}")
        elif was != now:
            lines.append(f"{what} was {was} and is {now}")
    return lines


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in REPEATED)) for name in RUNS])
def test_a_run_gives_the_kept_numbers(name):
    """With other versions of the libraries it runs, its losses are numbers, and as much is trained."""
    lines = moved(name, numbers(run(RUNS[name])), math.inf if OTHERS else TOLERANCE)
    advice = f"If this was meant, raise RECIPE in src/loralab/experiment.py and {AGAIN}. If not, find what changed."
    assert not lines, "\n".join([f"The run {name} gives other numbers.", *lines, advice])


def test_the_kept_numbers_are_of_this_recipe_and_these_versions():
    kept, now = golden(), {"recipe": RECIPE, "versions": VERSIONS}
    advice = f"{AGAIN}. Where only versions are others, raise RECIPE if numbers moved."
    assert {name: kept[name] for name in now} == now, advice


def with_arguments(monkeypatch, **changes):
    original = training.training_arguments

    def changed(*given):
        arguments = original(*given)
        vars(arguments).update(changes)
        return arguments

    monkeypatch.setattr(training, "training_arguments", changed)


def with_another_order(monkeypatch):
    original = tokens.batches_by_length
    another = lambda lengths, size, seed, epoch: original(lengths, size, seed + 1, epoch)  # noqa: E731
    monkeypatch.setattr(tokens, "batches_by_length", another)
    monkeypatch.setattr(training, "batches_by_length", another)


def without_division_by_rank(monkeypatch):
    original = peft.LoraConfig
    undivided = lambda r, lora_alpha, **rest: original(r=r, lora_alpha=r * lora_alpha, **rest)  # noqa: E731
    monkeypatch.setattr(peft, "LoraConfig", undivided)


MUTATIONS = {
    "weight-decay-0": partial(with_arguments, weight_decay=0.0),
    "warm-up-0": partial(with_arguments, warmup_steps=0),
    "learning-rate-1.01": partial(with_arguments, learning_rate=1.01 * RUNS[SHARP].learning_rate),
    "another-order": with_another_order,
    "alpha-without-1/r": without_division_by_rank,
}
LONG = ("warm-up-0", "another-order", "alpha-without-1/r")


def losses_moved(name):
    """With three times the tolerance: a change that a run notices is not to be near what rounding does."""
    return any("loss" in line for line in moved(name, numbers(run(RUNS[name])), 3 * TOLERANCE))


@pinned
@pytest.mark.parametrize("mutation", [pytest.param(m, marks=[pytest.mark.slow] * (m in LONG)) for m in MUTATIONS])
def test_a_small_change_of_training_is_noticed(mutation, monkeypatch):
    MUTATIONS[mutation](monkeypatch)
    assert losses_moved(SHARP)


@pinned
def test_an_answer_that_is_trained_on_from_its_second_token_is_noticed(monkeypatch):
    original = chat.row_after
    monkeypatch.setattr(chat, "row_after", lambda start, ids: original(start + 1, ids))
    assert losses_moved("generation-lora")


def write():
    """Keep what the runs give today, on one thread of the CPU."""
    if OTHERS:
        sys.exit(f"the golden runs are made with the versions of constraints.txt; these are others: {OTHERS}")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("LORALAB_RESULTS", folder)
        few_layers(monkeypatch)
        found = {name: numbers(run(experiment)) for name, experiment in RUNS.items()}
    runs = ",\n".join(f"{json.dumps(name)}: {json.dumps(kept)}" for name, kept in found.items())
    KEPT.write_text(f'{{"recipe": {RECIPE}, "versions": {json.dumps(VERSIONS)}, "runs": {{\n{runs}\n}}}}\n')


if __name__ == "__main__":
    write()
