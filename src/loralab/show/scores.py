"""How each task's results are compared and shown: one value each, which tables, sentences and figures ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np

from loralab.data.splits import load_pairs
from loralab.experiment import LORA_METHODS, Result
from loralab.messages import message, number, percent
from loralab.show.stats import Difference, half_width, mean_difference

Values = tuple[np.ndarray, np.ndarray]
# A method's key in the messages is its own name; these have a shorter one beside it.
SHORTER = {"full": "short_full", "head": "short_head", "rslora": "short_rslora"}


@dataclass(frozen=True)
class Score:
    """The score that a task's methods are compared by (`name`), and the factor, digits and unit that it is shown in.

    `axis` and `compared` (the first has more, less, or one cannot tell) are keys of its messages. `own` gives a group's
    values (seeds × examples or topics) and their weights, and `rows` its rows of scores in the comparison table.
    """

    name: str
    factor: float
    digits: int
    unit: str
    axis: str
    compared: tuple[str, str, str]
    higher_is_better: bool
    own: Callable[[Sequence[Result]], Values]
    rows: Callable[[Sequence[Result]], dict[str, str]]

    def of(self, result: Result) -> float:
        """A result's score, in the unit it is shown in."""
        return self.factor * result.test[self.name]

    def amount(self, value: float) -> str:
        """A difference between two methods' scores, without its unit."""
        return number(self.factor * value, self.digits)

    def with_unit(self, value: float) -> str:
        """The same with its unit: points of accuracy, or nats a token."""
        return f"{self.amount(value)} {message(self.unit)}"

    def signed(self, gap: Difference, level: float = 0.95) -> str:
        """A difference with its sign and its interval, without its unit."""
        return f"{'+' if gap.mean > 0 else ''}{self.amount(gap.mean)} ± {self.amount(gap.half(level))}"


def method_name(result: Result) -> str:
    """The method in the reader's language; LoRA and its variants with their rank."""
    name = message(result.experiment.method)
    return f"{name} r={result.experiment.rank}" if result.experiment.method in LORA_METHODS else name


def short_name(method: str) -> str:
    """A method's name where there is little room."""
    return message(SHORTER.get(method, method))


def _average(group: Sequence[Result], score: str, digits: int) -> str:
    return number(mean(r.test[score] for r in group), digits) if score in group[0].test else "–"


def _seed_by_seed(group: Sequence[Result], score: str, factor: float = 1) -> str:
    if not group[1:] or score not in group[0].test:
        return "–"
    return " · ".join(number(factor * r.test[score], 1) for r in group)


def _accuracy_rows(group: Sequence[Result]) -> dict[str, str]:
    accuracy, examples = mean(r.test["accuracy"] for r in group), len(group[0].labels)
    return {
        message("accuracy"): f"{percent(accuracy)} ± {number(100 * half_width(accuracy, examples), 1)}",
        message("accuracy_by_seed"): _seed_by_seed(group, "accuracy", 100),
        "F1" if len(group[0].provenance.get("labels", "01")) == 2 else "macro-F1": _average(group, "f1", 3),
        "MCC": _average(group, "mcc", 3),
        message("loss"): _average(group, "loss", 3),
    }


def _answer_rows(group: Sequence[Result]) -> dict[str, str]:
    return {
        message("answer_loss"): _average(group, "loss", 3),
        message("perplexity"): _average(group, "perplexity", 1),
        message("perplexity_by_seed"): _seed_by_seed(group, "perplexity"),
        "chrF": _average(group, "chrf", 1),
        "distinct-1": _average(group, "distinct_1", 2),
        "distinct-2": _average(group, "distinct_2", 2),
        message("answer_words"): _average(group, "words", 1),
        message("longest_overlap"): _average(group, "longest_overlap", 0),
        message("other_loss"): _average(group, "other_loss", 3),
    }


def kept(runs: Sequence[Result], by: str) -> Values:
    """What each run has of each example (seeds × examples), and the examples' weights.

    `by` is "accuracy" (1 where it is right), "loss" (nats, summed over an answer's tokens) or "other" (nats of each
    sentence of editorials).
    """
    weights: Sequence[float] = []
    if by == "accuracy":
        rows = [np.equal(r.predictions, r.labels).tolist() for r in runs]
    elif by == "other":
        rows, weights = [r.other_nats for r in runs], runs[0].other_tokens
    else:
        rows, weights = [r.answer_nats or r.test_losses for r in runs], runs[0].answer_tokens
    return np.array(rows, dtype=float), np.array(weights or [1] * len(rows[0]), dtype=float)


def _by_topic(runs: Sequence[Result]) -> Values:
    """Nats (seeds × topics) and tokens of all answers of a topic: a topic is hard, or easy, for all its questions."""
    pairs, _ = load_pairs(runs[0].experiment.dataset)
    topic_of = dict(zip(pairs["input"], pairs["topic"], strict=True))
    _, topics = np.unique([topic_of.get(question, question) for question in runs[0].questions], return_inverse=True)
    nats = np.array([np.bincount(topics, run.answer_nats) for run in runs])
    return nats, np.bincount(topics, runs[0].answer_tokens)


SCORES = {
    "classification": Score(
        name="accuracy", factor=100, digits=1, unit="unit_points", higher_is_better=True, rows=_accuracy_rows,
        axis="test_accuracy_axis",
        compared=("accuracy_more", "accuracy_less", "accuracy_cannot_tell"),
        own=lambda runs: kept(runs, "accuracy"),
    ),
    "generation": Score(
        name="loss", factor=1, digits=3, unit="unit_nats", higher_is_better=False, rows=_answer_rows,
        axis="test_loss_axis", compared=("loss_more", "loss_less", "loss_cannot_tell"),
        own=_by_topic,
    ),
}  # fmt: skip


def score_of(results: Sequence[Result]) -> Score:
    """The score of the results' task."""
    return SCORES[results[0].experiment.task]


def difference(a: Sequence[Result], b: Sequence[Result]) -> Difference:
    """Score of `a` minus that of `b`, paired by seed and by test example: accuracy, or loss in nats a token.

    A model that was only prompted has no seed: it is set beside each of the other's. Raises ValueError if the two were
    not run with the same seeds, in the same order, on the same test divided into the same tokens.
    """
    seeds = [[r.experiment.seed for r in group if "seed" in r.experiment.reads] for group in (a, b)]
    a = a if seeds[0] else list(a) * len(b)
    b = b if seeds[1] else list(b) * len(a)
    unpaired = all(seeds) and seeds[0] != seeds[1]
    exam = [(r.labels, r.answer_tokens) for r in (*a, *b)]
    if unpaired or len(a) != len(b) or any(sat != exam[0] for sat in exam):
        raise ValueError(message("not_paired", a=method_name(a[0]), b=method_name(b[0]), seeds=seeds))
    one, other = (kept(group, score_of(group).name) for group in (a, b))
    return mean_difference(one[0] - other[0], one[1])


def own_score(runs: Sequence[Result]) -> Difference:
    """A group's own accuracy (share) or loss (nats): a difference from nothing, with both kinds of luck.

    Of a loss, exam luck is which topics the test happens to hold (clusters: Cochran, Sampling Techniques, 1977,
    chapter 9), with Student's t, for they are few.
    """
    values, weights = score_of(runs).own(runs)
    return replace(mean_difference(values, weights), units=len(weights))
