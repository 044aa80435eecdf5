"""How long the course takes on a T4: from counted operations and bytes, not measured there."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from loralab.duration import ACHIEVED, PEAKS
from loralab.experiment import Experiment
from loralab.generation import MAX_NEW_TOKENS, SHOTS
from loralab.messages import message
from loralab.models import empty_model
from loralab.pairs import load_pairs
from loralab.profiles import Profile
from loralab.tracing import configuration
from loralab.training import EVALUATION_BATCH

T4 = PEAKS["T4"]
# Seconds in which Python launches one layer's operations, once forward. Measured on a CPU, on a Qwen2 with LoRA under
# autocast so small that nothing else takes time: 0.7 ms, and 1.9 ms forward and backward. Twice that, as Colab's cores
# are slower.
LAUNCH = 1.5e-3
# Bytes that full fine-tuning moves for a parameter and step: AdamW reads 16 and writes 12, scaling and clipping the
# gradient take 20, and the copy in fp16 takes 6.
OPTIMIZER_BYTES = 54
# A checkpoint has the weights and AdamW's two averages; a cloud disk writes some 100 MB a second.
CHECKPOINT_BYTES = 12
DISK = 100e6
# Seconds a run for loading data and weights, turning texts into tokens and saving, and seconds a lesson for imports and
# for what it tries beside its runs: assumptions, on the high side.
RUN, LESSON, LESSONS = 20, 120, 6
# Words of one of IMDB's 50,000 reviews on average, as tutorials print it of Keras's copy (234.76). With punctuation and
# parts of words some 300 tokens; cutting at 512, which takes some off, is not counted.
IMDB_WORDS = 234.76
TOKENS_PER_WORD, TEMPLATE_TOKENS = 1.3, 15
# Operations a weight and token (Kaplan et al. 2020, section 2.1): 2 forward, 2 for the gradient of what the layer
# reads, 2 for that of its weights. A frozen layer is spared the last; with only the head trained, the encoder runs
# forward alone. Attention's own, under a tenth at these lengths, are left out.
OPERATIONS = {"full": 6, "lora": 4, "head": 2}


@dataclass(frozen=True)
class Size:
    """What a model's time depends on: `parameters` in all, `linear` weights that each token is multiplied by, `layers`.

    A language model's output layer counts (Kaplan et al. leave it out): over a quarter of the weights of Qwen2.5-0.5B.
    """

    parameters: int
    linear: int
    layers: int


@lru_cache(maxsize=8)
def model_size(name: str, task: str) -> Size:
    """A model's size, from its configuration. Raises what `loralab.models.locate` raises if it has to be fetched."""
    model = empty_model(name) if task == "generation" else _empty_classifier(name)
    linear = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Size(parameters, linear, model.config.get_text_config().num_hidden_layers)


def _empty_classifier(name: str) -> nn.Module:
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(configuration(name))


def mean_tokens(experiment: Experiment) -> float:
    """Tokens of an example on average, for IMDB and for question-answer pairs. Raises ValueError for other data."""
    if experiment.dataset == "imdb":
        return IMDB_WORDS * TOKENS_PER_WORD
    pairs, _ = load_pairs(experiment.dataset)
    words = [len(text.split()) for name in ("instruction", "input", "output") for text in pairs[name]]
    return sum(words) / len(pairs) * TOKENS_PER_WORD + TEMPLATE_TOKENS


def train_rows(experiment: Experiment) -> int:
    """Examples to train on. Raises ValueError where it is the data that decide ("all")."""
    if isinstance(experiment.train_size, str):
        raise ValueError(message("not_an_integer", name="train_size", given=experiment.train_size, least=1))
    return experiment.train_size


def pass_seconds(size: Size, tokens: float, passes: int, precision: str, operations: int = 2) -> float:
    """Seconds of so many passes through a model over so many tokens in all.

    Whichever takes longer: the GPU's arithmetic (`operations` a weight and token) or the host's launching of it.
    """
    arithmetic = operations * size.linear * tokens / (T4[precision] * ACHIEVED[precision])
    return max(arithmetic, passes * size.layers * LAUNCH)


def training_seconds(experiment: Experiment, size: Size, tokens: float) -> float:
    """Seconds of training in fp16, with an evaluation and a checkpoint after each epoch."""
    rows = experiment.epochs * train_rows(experiment)
    steps = experiment.epochs * ceil(train_rows(experiment) / experiment.batch_size)
    passes = steps if experiment.method == "head" else 3 * steps  # backward is two forward
    spent = pass_seconds(size, rows * tokens, passes, "fp16", OPERATIONS[experiment.method])
    if experiment.method == "full":
        spent += steps * OPTIMIZER_BYTES * size.parameters / T4["bytes"]
        spent += experiment.epochs * CHECKPOINT_BYTES * size.parameters / DISK
    at_once = EVALUATION_BATCH if experiment.task == "classification" else experiment.batch_size
    validated = experiment.epochs * experiment.validation_size
    return spent + pass_seconds(size, validated * tokens, ceil(validated / at_once), "fp16")


def answer_seconds(experiment: Experiment, size: Size, tokens: float) -> float:
    """Seconds of a language model's exam in fp32: losses on answers and editorials, and the answers themselves.

    Answers are written 16 at a time, a pass through all weights for each token, which the memory's speed bounds.
    """
    pairs = 1 + SHOTS if experiment.method == "few-shot" else 1
    # Once for the loss, once as a prompt; and editorials, two for each question and shorter than a pair, as a third.
    read = 3 * pairs * experiment.test_size * tokens
    spent = pass_seconds(size, read, 3 * ceil(experiment.test_size / experiment.batch_size), "fp32")
    a_token = max(4 * size.linear / T4["bytes"], size.layers * LAUNCH)
    return spent + ceil(experiment.test_size / 16) * MAX_NEW_TOKENS * a_token


def run_seconds(experiment: Experiment) -> float:
    """Seconds of one experiment on a T4, from loading to saving."""
    if "model" not in experiment.identity():
        return RUN
    size, tokens = model_size(experiment.model, experiment.task), mean_tokens(experiment)
    spent = float(RUN)
    if experiment.method in OPERATIONS:
        spent += training_seconds(experiment, size, tokens)
    if experiment.task == "generation":
        return spent + answer_seconds(experiment, size, tokens)
    examined = experiment.test_size
    if experiment.method == "frozen":
        examined += train_rows(experiment)
    precision = "fp16" if experiment.method in OPERATIONS else "fp32"
    return spent + pass_seconds(size, examined * tokens, ceil(examined / EVALUATION_BATCH), precision)


def course_experiments(profile: Profile) -> list[Experiment]:
    """What the six lessons run of a profile, each experiment once."""
    low, high = profile.learning_rates["full"], profile.learning_rates["lora"]
    spoken = profile.generation
    asked = [*profile.comparison(), *profile.rank_comparison(), *spoken.comparison(), *spoken.rank_comparison()]
    asked += [profile.experiment("lora", learning_rate=low), profile.experiment("full", learning_rate=high)]
    asked.append(spoken.variant("second"))
    return list({experiment.key: experiment for experiment in asked}.values())


def course_seconds(profile: Profile) -> float:
    """Seconds of the whole course on a T4, if what a lesson has run is there for the next."""
    return LESSONS * LESSON + sum(map(run_seconds, course_experiments(profile)))
