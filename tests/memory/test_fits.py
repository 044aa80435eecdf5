"""Which GPUs well-known models fit: the models are what they are called, and the file is what the planner says."""

import json

import pytest
from fits import ANSWERS, FITS, answer, count

from loralab.memory.fitting import GPUS, ROOM


@pytest.fixture(scope="module")
def table():
    return json.loads(FITS.read_text(encoding="utf-8"))


def row_of(table, name):
    return next(row for row in table["models"] if row["name"].endswith(name))


def said(table, name, way, gpu):
    """What the file says of a model on a GPU."""
    asked = {"model": name, "way": way, "gpu": gpu}
    (found,) = (row for row in table["plans"] if asked.items() <= row.items())
    return {key: found[key] for key in ANSWERS}


@pytest.mark.parametrize("name", ["distilbert-base-uncased", "Phi-4-mini-instruct", "Llama-3.1-8B-Instruct"])
def test_a_configuration_has_the_published_number_of_parameters(table, name, tmp_path):
    row = row_of(table, name)
    assert count(table, row, tmp_path) == row["parameters"]


@pytest.mark.parametrize(
    ("name", "way"),
    [("MiniLM-L6-v2", "lora-fp32"), pytest.param("SmolLM2-135M-Instruct", "lora-nf4", marks=pytest.mark.slow)],
)
def test_the_file_is_what_the_planner_says_to_the_byte(table, name, way, tmp_path):
    row = row_of(table, name)
    assert answer(table, row, way, GPUS[0], tmp_path) == said(table, row["name"], way, "T4")


def test_all_is_there_for_these_gpus(table):
    assert table["room"] == ROOM and table["gpus"] == [{"name": gpu.name, "memory": gpu.memory} for gpu in GPUS]
    expected = {(m["name"], way, gpu.name) for m in table["models"] for way in table["ways"] for gpu in GPUS}
    assert expected == {(row["model"], row["way"], row["gpu"]) for row in table["plans"]}
    assert len(expected) == len(table["plans"])


def test_what_cannot_be_done_has_no_numbers(table):
    """16 bits on a T4, and an encoder's weights in anything but fp32; all else has been planned."""
    encoders = {row["name"] for row in table["models"] if row["task"] == "classification"}
    for row in table["plans"]:
        weights = table["ways"][row["way"]]["weights"]
        able = weights == "fp32" or (row["model"] not in encoders and (weights == "nf4" or row["gpu"] != "T4"))
        assert all((row[key] is not None) == able for key in ANSWERS)


def test_numbers_agree_with_each_other(table):
    memory = {gpu["name"]: gpu["memory"] for gpu in table["gpus"]}
    for model in table["models"]:
        batch = table["setting"][model["task"]]["batch_size"]
        for way in table["ways"]:
            rows = [row for row in table["plans"] if (row["model"], row["way"]) == (model["name"], way) and row["peak"]]
            for row in rows:
                assert row["fits"] == (row["peak"] <= ROOM * memory[row["gpu"]]) == (row["largest_batch"] >= batch)
            # With the same precision a larger memory never takes less.
            for one, other in ((a, b) for a in rows for b in rows if a["precision"] == b["precision"]):
                if memory[one["gpu"]] <= memory[other["gpu"]]:
                    assert one["fits"] <= other["fits"] and one["largest_batch"] <= other["largest_batch"]
            # Weights, gradients and AdamW's averages in fp32; what sees images is not trained.
            if way == "full":
                assert all(row["peak"] > 12 * model["parameters"] for row in rows)
