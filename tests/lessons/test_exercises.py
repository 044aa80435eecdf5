"""Every exercise of every lesson: blank, solved, and with each known mistake."""

import ast
import re
import tomllib
from pathlib import Path

import jupytext
import pandas as pd
import pytest
import torch

from loralab.lessons import catalogue
from loralab.lessons.answers import OTHER
from loralab.lessons.catalogue import exercises, known
from loralab.lessons.exercises import grade
from loralab.profiles import load_profile

SOURCES = sorted((Path(__file__).parents[2] / "notebooks" / "source").glob("[0-9]*.py"))
REGION = re.compile(r"^([ ]*)### BEGIN SOLUTION\n(.*?)^[ ]*### END SOLUTION\n", re.MULTILINE | re.DOTALL)
CELLS = {
    cell.metadata["exercise"]: cell.source + "\n"
    for source in SOURCES
    for cell in jupytext.read(source).cells
    if "exercise" in cell.metadata
}
# These train: what one run has trained, the next loads.
LONG = {"rank_study", "modules_study", "another_model", "glue_study", "more_data"}
# In four steps, or over 32 sentences, runs come to the same scores, and what was done with them cannot be told.
TELLING = {"train_size": 256, "test_size": 128}


def case(key, *more):
    return pytest.param(key, *more, marks=[pytest.mark.slow] if key in LONG else [])


@pytest.fixture(scope="module")
def shared_results(tmp_path_factory):
    return tmp_path_factory.mktemp("exercises")


@pytest.fixture
def answered(shared_results, monkeypatch):
    monkeypatch.setenv("LORALAB_RESULTS", str(shared_results))
    monkeypatch.setenv("LORALAB_PROFILE", "smoke")

    def answer(key, code):
        """What becomes of an exercise's cell with this code where its solution stands."""
        indent = REGION.search(CELLS[key]).group(1)
        filled = "".join(indent + line + "\n" if line.strip() else "\n" for line in code.strip("\n").split("\n"))
        tree = ast.parse(REGION.sub(lambda _: filled, CELLS[key]))
        *body, last = tree.body
        profile = load_profile("smoke")
        namespace = {"profile": profile.on(profile.settings["dataset"], **TELLING) if key in LONG else profile}
        namespace["grade"] = grade
        exec(compile(ast.Module(body, []), key, "exec"), namespace)
        last.value.func.id = "grade"
        return eval(compile(ast.Expression(last.value), key, "eval"), namespace)

    return answer


def solution(key):
    indent, code = REGION.search(CELLS[key]).groups()
    return "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))


def test_every_exercise_has_its_cell_and_every_lesson_three():
    assert set(CELLS) == set(exercises())
    for source in SOURCES[1:7]:  # the start and the evidence ask for nothing
        assert sum("exercise" in cell.metadata for cell in jupytext.read(source).cells) >= 3, source.name


@pytest.mark.parametrize("key", CELLS)
def test_a_blank_is_not_tried_yet(key, answered):
    assert answered(key, "...").text == "Not tried yet."


@pytest.mark.parametrize("key", [case(key) for key in CELLS])
def test_the_solution_gets_a_tick(key, answered):
    found = answered(key, solution(key))
    assert found.right, found.text
    assert found.text.startswith("✓")


@pytest.mark.parametrize(
    ("key", "code"), [case(key, code) for key, entry in exercises().items() for code in entry["right"]]
)
def test_another_right_way_gets_a_tick(key, code, answered):
    found = answered(key, code)
    assert found.right, found.text


MISTAKES = [(key, hint, f"{before}\n{code}") for key, row in exercises().items() for hint, before, code in known(row)]


@pytest.mark.parametrize(("key", "hint", "code"), [case(*mistake) for mistake in MISTAKES if mistake[1]])
def test_each_mistake_draws_its_own_hint(key, hint, code, answered):
    found = answered(key, code)
    assert (found.right, found.hint) == (False, hint), found.text
    assert found.text.startswith("✗")


@pytest.mark.parametrize("key", exercises())
def test_every_exercise_knows_mistakes_and_the_one_nobody_foresaw(key):
    hints = exercises()[key]["hints"]
    assert len(hints) >= 3 and OTHER in hints
    changed = [row["change"][0] for row in hints.values() if "change" in row]
    assert all(old in exercises()[key]["right"][0] for old in changed)


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match="key cannot be 'x'"):
        grade("x", 1)


def test_an_error_in_a_students_function_is_passed_on():
    with pytest.raises(ZeroDivisionError):
        grade("waste", lambda lengths, batch_size: 1 / 0)


def test_a_text_that_lacks_a_language_is_named(monkeypatch):
    monkeypatch.setattr(catalogue, "LANGUAGES", ("es", "en", "fr"))
    with pytest.raises(ValueError, match=r"lesson_1.toml lacks .* in predictions.always_favourable.ask, .* es, en, fr"):
        catalogue._read.__wrapped__(1)


def test_an_exercise_without_a_hint_for_what_nobody_foresaw_is_named(monkeypatch):
    loads = tomllib.loads

    def without(text):
        content = loads(text)
        del content["exercises"]["adapter_size"]["hints"]["other"]
        return content

    monkeypatch.setattr(catalogue.tomllib, "loads", without)
    with pytest.raises(ValueError, match=r"lesson_3.toml lacks a text in exercises.adapter_size.hints.other\."):
        catalogue._read.__wrapped__(3)


def test_an_answer_may_come_from_any_library():
    labels = lambda ids, start, stop: pd.Series([i if start <= k < stop else -100 for k, i in enumerate(ids)])  # noqa: E731
    assert grade("answer_labels", labels).right
    loss = torch.nn.functional.cross_entropy(torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 2]))
    assert grade("first_loss_three", loss).right
    swapped = grade("pair_encoding", lambda tokenizer, a, b: tokenizer(b, a, return_tensors="np"))
    assert swapped.hint == OTHER


def test_a_mistake_is_named_where_all_that_goes_with_it_is_there():
    assert grade("static_memory", 2052.5, 2127.0).hint == "frozen"
    assert grade("static_memory", 999.0, 2127.0).hint == OTHER
