"""How long the course takes on a T4: from counted operations and bytes, not measured there."""

from math import ceil

from loralab.duration import published_rates, step_seconds
from loralab.duration import training_seconds as stepping_seconds
from loralab.experiment import Experiment
from loralab.fitting import GPUS
from loralab.generation import MAX_NEW_TOKENS, SHOTS
from loralab.memory import Plan, plan
from loralab.messages import message
from loralab.pairs import load_pairs
from loralab.profiles import Profile
from loralab.tracing import step_of

T4 = GPUS[0]
# Bytes a second that a cloud disk writes.
DISK = 100e6
# Seconds a run for loading data and weights, turning texts into tokens and saving, and seconds a lesson for imports and
# for what it tries beside its runs: assumptions, on the high side.
RUN, LESSON, LESSONS = 20, 120, 6
# Words of one of IMDB's 50,000 reviews on average, as tutorials print it of Keras's copy (234.76). With punctuation and
# parts of words some 300 tokens; cutting at 512, which takes some off, is not counted.
IMDB_WORDS = 234.76
TOKENS_PER_WORD, TEMPLATE_TOKENS = 1.3, 15
ANSWERS = 16  # are written at a time


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


def planned_on_t4(experiment: Experiment, tokens: float, precision: str) -> tuple[Plan, dict[str, float]]:
    """The plan of the experiment's training on texts of so many tokens, and the work of a batch's forward pass.

    The rank, which changes next to nothing, is 8. What trains nothing is planned as what has the same forward pass.
    """
    like = {"frozen": "head", "base": "full", "few-shot": "full"}.get(experiment.method, experiment.method)
    planned = plan(experiment.but(method=like, rank=8, precision=precision), T4, length=round(tokens))
    return planned, step_of(planned.experiment, T4, planned.rows, planned.length).forward


def forward_seconds(experiment: Experiment, examples: int, tokens: float, precision: str) -> float:
    """Seconds of so many examples' passes through the experiment's model, of so many tokens each."""
    planned, work = planned_on_t4(experiment, tokens, precision)
    return ceil(examples / planned.rows) * step_seconds(work, published_rates(T4.name, precision), T4.kind)


def training_seconds(experiment: Experiment, tokens: float) -> float:
    """Seconds of training in fp16, with an evaluation and a checkpoint after each epoch."""
    planned, _ = planned_on_t4(experiment, tokens, "fp16")
    spent = stepping_seconds(planned, published_rates(T4.name, "fp16"), train_rows(experiment))
    if experiment.method == "full":
        saved = planned.static["weights"] + planned.static["optimizer"]
        spent += experiment.epochs * saved / DISK
    return spent + experiment.epochs * forward_seconds(experiment, experiment.validation_size, tokens, "fp16")


def answer_seconds(experiment: Experiment, tokens: float) -> float:
    """Seconds of a language model's exam in fp32: losses on answers and editorials, and the answers themselves.

    Answers are written 16 at a time, a pass through all weights for each token, which takes as long as reading them
    from memory, or as starting the pass.
    """
    pairs = 1 + SHOTS if experiment.method == "few-shot" else 1
    # Once for the loss, once as a prompt; and editorials, two for each question and shorter than a pair, as a third.
    read = forward_seconds(experiment, 3 * pairs * experiment.test_size, tokens, "fp32")
    planned, forward = planned_on_t4(experiment, tokens, "fp32")
    each = published_rates(T4.name, "fp32")
    a_token = max(planned.static["weights"] * each["bytes"], forward["started"] * each["started"])
    return read + ceil(experiment.test_size / ANSWERS) * MAX_NEW_TOKENS * a_token


def run_seconds(experiment: Experiment) -> float:
    """Seconds of one experiment on a T4, from loading to saving."""
    if "model" not in experiment.identity():
        return RUN
    tokens, trains = mean_tokens(experiment), "learning_rate" in experiment.identity()
    spent = RUN + (training_seconds(experiment, tokens) if trains else 0.0)
    if experiment.task == "generation":
        return spent + answer_seconds(experiment, tokens)
    read = experiment.test_size + (0 if trains else train_rows(experiment))  # frozen: vectors of both
    return spent + forward_seconds(experiment, read, tokens, "fp16" if trains else "fp32")


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
