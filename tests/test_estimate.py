"""The estimate of the T4 course: pieces worked by hand, activations against a measurement, and the course's limits."""

import ast
from math import isclose
from pathlib import Path

import jupytext
import pytest

from loralab.chat import encode_pairs
from loralab.data import load_splits
from loralab.estimate import (
    DISK,
    LAUNCH,
    RUN,
    Size,
    answer_seconds,
    course_experiments,
    course_seconds,
    mean_tokens,
    model_size,
    pass_seconds,
    run_seconds,
    training_seconds,
)
from loralab.fitting import GPUS, fits
from loralab.memory import plan
from loralab.models import load_tokenizer
from loralab.profiles import load_profile

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
    planned = plan(experiment, GPUS[0])
    # Weights and AdamW's averages of 494,032,768 parameters; the logits of 4 × 256 tokens and their gradient.
    assert planned.peak > 12 * 494_032_768 + 8 * 4 * 256 * 151_936
    assert fits(planned)


def test_qwen_by_hand():
    # Layer: q and o of 896², k and v of 896 × 128, three of 896 × 4864. The output layer is the embedding, tied.
    layer = 2 * 896 * 896 + 2 * 896 * 128 + 3 * 896 * 4864
    linear = 24 * layer + 896 * 151_936
    # Beside them biases of q, k and v, two norms a layer, and a last one.
    total = linear + 24 * (896 + 128 + 128 + 2 * 896) + 896
    assert total == 494_032_768
    assert model_size("qwen2.5-0.5b", "generation") == Size(total, linear, 24)


def test_distilbert_by_hand():
    linear = 6 * (4 * 768 * 768 + 2 * 768 * 3072) + 768 * 768 + 768 * 2
    assert model_size("distilbert-base-uncased", "classification") == Size(66_955_010, linear, 6)


def test_a_run_by_hand(t4):
    # 3 epochs of 1,000 reviews of 305.2 tokens, 43,058,688 weights, 6 operations each: 2.366e14.
    full, tokens = t4.experiment("full"), 234.76 * 1.3
    size = model_size(full.model, full.task)
    trained = 3 * 1000 * tokens * 43_058_688 * 6 / (0.25 * 65e12)
    # 3 × 63 steps of 54 bytes a parameter, and 3 checkpoints of 12.
    moved = 189 * 54 * 66_955_010 / 320e9 + 3 * 12 * 66_955_010 / DISK
    # Three times 1,000 for validation, 4,000 for the test, 2 operations.
    examined = 7000 * tokens * 43_058_688 * 2 / (0.25 * 65e12)
    assert isclose(training_seconds(full, size, tokens), trained + moved + examined * 3 / 7)
    assert isclose(run_seconds(full), RUN + trained + moved + examined)
    # LoRA is spared the weights' gradients: 4 operations, and what it would move.
    lora = run_seconds(t4.experiment("lora"))
    assert isclose(lora, RUN + trained * 4 / 6 + examined)
    # Only the head: forward alone.
    assert isclose(run_seconds(t4.experiment("head")), RUN + trained * 2 / 6 + examined)
    # In fp32, once over what is trained and tested on.
    frozen = 5000 * tokens * 43_058_688 * 2 / (0.5 * 8.1e12)
    assert isclose(run_seconds(t4.experiment("frozen")), RUN + frozen)
    assert run_seconds(t4.experiment("majority")) == run_seconds(t4.generation.experiment("retrieval")) == RUN


def test_answers_by_hand(t4):
    base, few = t4.generation.experiment("base"), t4.generation.experiment("few-shot")
    size = Size(parameters=10**9, linear=10**9, layers=2)
    # 96 questions in 6 batches, 80 tokens each: 480 passes through 4 GB; and 96 × 100 tokens read three times.
    written, read = 480 * 4e9 / 320e9, 3 * 96 * 100 * 2e9 / (0.5 * 8.1e12)
    assert isclose(answer_seconds(base, size, 100), written + read)
    assert isclose(answer_seconds(few, size, 100), written + 4 * read)
    # A small model waits for the host.
    assert isclose(answer_seconds(base, Size(1, 1, 24), 100), 480 * 24 * LAUNCH + 3 * 24 * 24 * LAUNCH)


def test_a_pass_takes_what_takes_longer():
    small, large = Size(1000, 1000, 12), Size(10**9, 10**9, 12)
    assert pass_seconds(small, 100, 5, "fp16") == 5 * 12 * LAUNCH
    assert isclose(pass_seconds(large, 10_000, 5, "fp16", 6), 6e13 / 16.25e12)


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
