"""What the unit tests share: English messages, and a results folder of each test's own."""

import pytest

from loralab.experiment import Result
from loralab.messages import set_language
from loralab.profiles import load_profile


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
    "code": "c",
    "weights": "w",
    "device": "2 × CPU",
    "date": "2026-01-01",
    "versions": {"torch": "2"},
}


@pytest.fixture
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
            epochs=[{"accuracy": 0.7, "loss": 0.6}, {"accuracy": 0.8, "loss": 0.5}] if trained else [],
            loss_by_step=[0.7 - 0.001 * i for i in range(100)] if trained else [],
            learning_rate_by_step=[1e-3] * 100 if trained else [],
            parameters=parameters if trained else {},
            seconds={"training": seconds, "evaluation": 1.0},
            memory={"peak_bytes": peak * 2**20, "method": "profiler"} if trained else {},
            tokens={},
            provenance=PROVENANCE,
        )

    return result
