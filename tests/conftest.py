"""What the unit tests share: English messages, and a results folder of each test's own."""

import gc
import math

import pytest

from loralab.experiment import Result
from loralab.messages import set_language
from loralab.profiles import load_profile

gc.disable()  # what test modules import stays: to look through it for garbage meanwhile takes seconds


def pytest_collection_finish():
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def without_what_is_there_for_good():
    """Trainer collects garbage before each training: half a second, if it looks through all that was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def english():
    set_language("en")
    yield
    set_language("en")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture(scope="session")
def smoke():
    return load_profile("smoke")


PROVENANCE = {
    "data": "d",
    "recipe": 2,
    "weights": "w",
    "device": "2 × CPU",
    "date": "2026-01-01",
    "versions": {"torch": "2"},
}


def run_of(parameters, seconds, peak, losses):
    """What a training run of these losses leaves besides its scores; without parameters nothing was trained."""
    return {
        "loss_by_step": losses if parameters else [],
        "learning_rate_by_step": [1e-3] * len(losses) if parameters else [],
        "parameters": parameters,
        "seconds": {"training": seconds, "evaluation": 1.0},
        "memory": {"peak_bytes": peak * 2**20, "method": "profiler"} if parameters else {},
        "tokens": {},
        "provenance": PROVENANCE,
    }


@pytest.fixture(scope="session")
def make():
    cpu = load_profile("cpu")

    def result(method="lora", right=800, seconds=50.0, peak=300, profile="cpu", **changes):
        """A result with the first `right` of 1,000 test answers right."""
        trained = method in ("full", "lora", "head")
        parameters = {"adapter": 73728 * (method == "lora"), "head": 770, "trainable": 74498, "total": 22787714}
        return Result(
            experiment=cpu.experiment(method, **changes).but(profile=profile),
            test={"accuracy": right / 1000, "f1": 0.8, "mcc": 0.6} | ({"loss": 0.5} if trained else {}),
            predictions=[1] * right + [0] * (1000 - right),
            labels=[1] * 1000,
            test_losses=[0.5] * 1000 if trained else [],
            epochs=[{"accuracy": 0.7, "loss": 0.6}, {"accuracy": 0.8, "loss": 0.5}] if trained else [],
            **run_of(parameters if trained else {}, seconds, peak, [0.7 - 0.001 * i for i in range(100)]),
        )

    return result


@pytest.fixture(scope="session")
def make_answers():
    cpu = load_profile("cpu").generation

    def result(method="lora", nats=40.0, other=3.5, seconds=50.0, peak=300, profile="cpu", **changes):
        """A result with `nats` on each of 20 test answers of 20 tokens, give or take 2, none of them the same."""
        trained, has_loss = method in ("full", "lora"), method != "retrieval"
        parameters = {"adapter": 4884480 * (method == "lora"), "head": 0, "trainable": 4884480, "total": 139399488}
        tokens = [20] * 20
        losses = [nats + (-2 if i % 2 else 2) * (method == "lora") for i in range(20)]
        loss = sum(losses) / sum(tokens)
        scores = {"chrf": 20.0, "distinct_1": 0.5, "distinct_2": 0.9, "words": 30.0, "longest_overlap": 5.0}
        return Result(
            experiment=cpu.experiment(method, **changes).but(profile=profile),
            test=scores | ({"loss": loss, "perplexity": math.exp(loss), "other_loss": other} if has_loss else {}),
            predictions=[f"{method} says {i}" for i in range(20)],
            labels=[f"reference {i}" for i in range(20)],
            questions=[f"question {i}?" for i in range(20)],
            answer_chrf=[20.0] * 20,
            answer_nats=losses if has_loss else [],
            answer_tokens=tokens if has_loss else [],
            epochs=[{"loss": 3.2, "perplexity": 24.5}, {"loss": 3.1, "perplexity": 22.2}] if trained else [],
            **run_of(parameters if trained else {}, seconds, peak, [4 - 0.01 * i for i in range(100)]),
        )

    return result
