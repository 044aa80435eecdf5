"""The estimate of the T4 course: pieces worked by hand, activations against a measurement, and the course's limits."""

import ast
from math import isclose
from pathlib import Path

import jupytext
import pytest

from loralab.chat import encode_pairs
from loralab.data import load_splits
from loralab.doctor import parameters
from loralab.duration import published_rates, step_seconds
from loralab.estimate import (
    DISK,
    RUN,
    answer_seconds,
    course_experiments,
    course_seconds,
    forward_seconds,
    mean_tokens,
    planned_on_t4,
    run_seconds,
    training_seconds,
)
from loralab.fitting import GPUS, fits
from loralab.memory import plan
from loralab.models import load_tokenizer
from loralab.profiles import load_profile
from loralab.tracing import step_of

T4 = GPUS[0]
LESSONS = sorted((Path(__file__).parents[1] / "notebooks" / "source").glob("[0-9]*.py"))


@pytest.fixture(scope="module")
def t4():
    return load_profile("t4")


def test_the_whole_course_takes_less_than_an_hour(t4):
    minutes = course_seconds(t4) / 60
    assert 30 < minutes < 60, f"{minutes:.0f} minutes"


def test_full_fine_tuning_fits_a_t4(t4):
    experiment = t4.generation.experiment("full")
    assert (experiment.batch_size, experiment.max_length) == (4, 256)
    planned = plan(experiment, T4)
    # Weights and AdamW's averages of 494,032,768 parameters; the logits of 4 × 256 tokens and their gradient.
    assert planned.peak > 12 * 494_032_768 + 8 * 4 * 256 * 151_936
    assert fits(planned)


def test_qwen_by_hand(t4):
    full, tokens = t4.generation.experiment("full"), 100
    # Layer: q and o of 896², k and v of 896 × 128, three of 896 × 4864. The output layer is the embedding, tied.
    layer = 2 * 896 * 896 + 2 * 896 * 128 + 3 * 896 * 4864
    linear = 24 * layer + 896 * 151_936
    # Beside them biases of q, k and v, two norms a layer, and a last one.
    assert parameters(full, ()) == linear + 24 * (896 + 128 + 128 + 2 * 896) + 896 == 494_032_768
    # Forward 2 operations a weight and token (Kaplan et al. 2020, section 2.1), and attention's two products.
    _, forward = planned_on_t4(full, tokens, "fp16")
    expected = 4 * tokens * (2 * linear + 24 * 4 * 896 * tokens)
    assert forward["operations"] == pytest.approx(expected, rel=0.01)


def test_operations_of_methods_by_hand(t4):
    """6 a weight and token for full fine-tuning, 4 with the weights frozen, 2 with the head alone trained."""
    linear, tokens = 6 * (4 * 768 * 768 + 2 * 768 * 3072), 100
    for method, operations in (("full", 6), ("lora", 4), ("head", 2)):
        step = step_of(t4.experiment(method, precision="fp32"), T4, 16, tokens)
        done = step.forward["operations"] + step.backward["operations"]
        # The first layer's input needs no gradient; attention and LoRA's own come on top.
        assert done == pytest.approx(operations * 16 * tokens * linear, rel=0.08)
        assert step.update["operations"] == 0


def test_a_training_by_hand(t4):
    full, tokens = t4.experiment("full"), 305
    planned, forward = planned_on_t4(full, tokens, "fp16")
    each = published_rates("T4", "fp16")
    # 1,000 reviews in batches of 16, and after each epoch 500 for validation; a checkpoint has weights and averages.
    stepped = 3 * 63 * step_seconds(planned.work, each, "cuda")
    validated = 3 * 32 * step_seconds(forward, each, "cuda")
    assert parameters(full, ()) == 66_955_010
    saved = 3 * 12 * 66_955_010 / DISK
    assert training_seconds(full, tokens) == pytest.approx(stepped + validated + saved, rel=1e-4)
    assert training_seconds(full, tokens) > training_seconds(t4.experiment("lora"), tokens)


def test_a_run_by_hand(t4):
    head, tokens = t4.experiment("head"), 234.76 * 1.3
    assert mean_tokens(head) == tokens
    examined = forward_seconds(head, 4000, tokens, "fp16")
    assert isclose(run_seconds(head), RUN + training_seconds(head, tokens) + examined)
    # In fp32, once over what is trained and tested on.
    frozen = t4.experiment("frozen")
    assert isclose(run_seconds(frozen), RUN + forward_seconds(frozen, 5000, tokens, "fp32"))
    assert run_seconds(t4.experiment("majority")) == run_seconds(t4.generation.experiment("retrieval")) == RUN
    assert run_seconds(t4.experiment("lora", rank=4)) == run_seconds(t4.experiment("lora", rank=16))


def test_answers_by_hand(t4):
    base, few = t4.generation.experiment("base"), t4.generation.experiment("few-shot")
    _, forward = planned_on_t4(base, 100, "fp32")
    # 96 questions in 6 batches, 80 tokens each: 480 passes through weights of 4 bytes, or as long as Python starts
    # them. And 96 × 100 tokens read three times, four times as many with three examples before each.
    weights, starting = 4 * 494_032_768 / (0.75 * 320e9), forward["started"] * 15e-6
    assert starting > weights
    read = answer_seconds(base, 100) - 480 * starting
    assert read == pytest.approx(forward_seconds(base, 3 * 96, 100, "fp32"))
    assert answer_seconds(few, 100) - 480 * starting == pytest.approx(4 * read)


def test_the_tokens_of_a_pair_are_about_right(t4):
    experiment = t4.generation.experiment("lora", model="smollm2-135m")
    encoded = encode_pairs(load_splits(experiment).train, load_tokenizer(experiment.model), None)
    counted = sum(encoded.lengths) / len(encoded.lengths)
    assert mean_tokens(experiment) == pytest.approx(counted, rel=0.1)


def test_other_data_are_not_guessed(t4):
    with pytest.raises(ValueError, match="film-reviews"):
        mean_tokens(t4.experiment("lora", dataset="film-reviews"))


def asked_for(lesson):
    """What a lesson's cells, up to its exercises, hand to run and run_all."""
    for cell in jupytext.read(lesson).cells:
        if cell.source.startswith(("## Ejercicios", "## Exercises")):
            return
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("run", "run_all"):
                    yield ast.unparse(node.args[0])


# By the text in the lessons: what the estimate counts, and what of a few sentences it takes to be part of a lesson.
COUNTED = {
    "[profile.experiment('majority'), profile.experiment('tfidf')]",
    "asked",
    "experiment",
    "profile.experiment('full')",
    "profile.experiment('lora', learning_rate=low)",
    "profile.experiment('full', learning_rate=high)",
    "experiment.but(seed=seed)",
    "persona.experiment('retrieval')",
    "persona.experiment('base')",
    "persona.experiment('few-shot')",
    "chosen",
    "experiments",
    "persona.rank_comparison()",
    "persona.comparison()",
    "voices['sancho']",
}
SMALL = {"small"}


def test_every_run_of_the_lessons_is_counted(t4):
    assert {text for lesson in LESSONS for text in asked_for(lesson)} == COUNTED | SMALL
    keys = [experiment.key for experiment in course_experiments(t4)]
    assert len(set(keys)) == len(keys)
    spoken = t4.generation
    low, high = t4.learning_rates["full"], t4.learning_rates["lora"]
    extra = [t4.experiment("lora", learning_rate=low), t4.experiment("full", learning_rate=high)]
    extra.append(spoken.variant("second"))
    listed = [*t4.comparison(), *t4.rank_comparison(), *spoken.comparison(), *spoken.rank_comparison(), *extra]
    assert set(keys) == {experiment.key for experiment in listed}
    # 3 baselines and 3 methods; 2 ranks more; 2 swapped rates; 3 baselines and 2 methods, 2 ranks more, Sancho.
    assert len(keys) == (3 + 9 + 6 + 2) + (3 + 6 + 6 + 1)
