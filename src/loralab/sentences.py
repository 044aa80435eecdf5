"""Sentences and verdicts from results, and from nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from loralab.experiment import Result
from loralab.messages import message, number, percent
from loralab.stats import Difference, accuracy_values, loss_values, mean_difference, ratio_interval, verdict
from loralab.tables import is_smoke, marked, method_name, peak_bytes, training_seconds

# One timing of each method says nothing below this: ranks 8 and 16, which do almost the same work, differed by 12 %.
TIMING_NOISE = 0.15


@dataclass(frozen=True)
class Score:
    """How a task's methods are compared: the score, and the factor, digits and name of the unit it is shown in."""

    name: str
    factor: float
    digits: int
    unit: str


SCORES = {
    "classification": Score("accuracy", 100, 1, "unit_points"),
    "generation": Score("loss", 1, 3, "unit_nats"),
}


def amount(value: float, task: str) -> str:
    """A difference between two methods' scores, as a task measures it, without its unit."""
    return number(SCORES[task].factor * value, SCORES[task].digits)


def with_unit(value: float, task: str) -> str:
    """The same with its unit: points of accuracy, or nats a token."""
    return f"{amount(value, task)} {message(SCORES[task].unit)}"


def difference(a: Sequence[Result], b: Sequence[Result]) -> Difference:
    """Score of `a` minus that of `b`, paired by seed and by test example: accuracy, or loss in nats a token.

    Raises what `score_values` raises.
    """
    return mean_difference(*score_values(a, b))


def score_values(a: Sequence[Result], b: Sequence[Result]) -> tuple[np.ndarray, np.ndarray]:
    """What `difference` is the mean of: values (seeds × examples) and the examples' weights, see loralab.stats.

    A model that was only prompted has no seed: it is set beside each of the other's. Raises ValueError if the two were
    not run with the same seeds, in the same order, on the same test divided into the same tokens.
    """
    seeds = [[r.experiment.seed for r in group if _seeded(r)] for group in (a, b)]
    a = a if seeds[0] else list(a) * len(b)
    b = b if seeds[1] else list(b) * len(a)
    unpaired = all(seeds) and seeds[0] != seeds[1]
    exam = [(r.labels, r.answer_tokens) for r in (*a, *b)]
    if unpaired or len(a) != len(b) or any(sat != exam[0] for sat in exam):
        raise ValueError(message("not_paired", a=method_name(a[0]), b=method_name(b[0]), seeds=seeds))
    if a[0].experiment.task == "generation":
        return loss_values([r.answer_nats for r in a], [r.answer_nats for r in b], a[0].answer_tokens)
    return accuracy_values([r.predictions for r in a], [r.predictions for r in b], a[0].labels)


def own_score(runs: Sequence[Result]) -> Difference:
    """A group's own accuracy (share) or loss (nats a token): a difference from nothing, with both kinds of luck."""
    first = runs[0]
    if first.experiment.task == "generation":
        return mean_difference(np.array([r.answer_nats for r in runs]), np.array(first.answer_tokens, dtype=float))
    right = np.array([np.equal(r.predictions, r.labels) for r in runs], dtype=float)
    return mean_difference(right, np.ones(len(first.labels)))


def signed(found: Difference, task: str, half: float | None = None) -> str:
    """A difference with its sign and its 95 % interval, or another `half` of one, without its unit."""
    sign = "+" if found.mean > 0 else ""
    return f"{sign}{amount(found.mean, task)} ± {amount(found.half() if half is None else half, task)}"


def times(ratios: Sequence[float]) -> str:
    """A ratio measured round by round, with its 95 % interval."""
    low, middle, high = (number(value, 2) for value in ratio_interval(ratios))
    return message("times_interval", middle=middle, low=low, high=high)


def _seeded(result: Result) -> bool:
    return "seed" in result.experiment.identity()


def compare(a: Sequence[Result], b: Sequence[Result], level: float = 0.95) -> str:
    """One sentence: whose accuracy (or loss on the answers) is higher on their common test, or that it cannot tell.

    Raises what `difference` raises.
    """
    found, task = difference(a, b), a[0].experiment.task
    middle, half = found.mean, found.half(level)
    key = "cannot_tell" if abs(middle) <= half else "more" if middle > 0 else "less"
    text = message(
        f"{SCORES[task].name}_{key}",
        a=method_name(a[0]),
        b=method_name(b[0]),
        signed=amount(middle, task),
        difference=amount(abs(middle), task),
        half=amount(half, task),
        examples=number(len(a[0].labels), 0),
        runs=_runs(a, b),
    )
    return marked(text, (*a, *b))


def _runs(*groups: Sequence[Result]) -> str:
    seeds = sorted({result.experiment.seed for group in groups for result in group if _seeded(result)})
    if not seeds:
        return message("no_training")
    return message("one_seed", seed=seeds[0]) if len(seeds) == 1 else message("many_seeds", seeds=len(seeds))


def margin_verdict(a: Sequence[Result], b: Sequence[Result], margin: float) -> str:
    """One sentence: equivalent within the margin (share or nats), different, different but negligible, or cannot tell.

    Smoke results get no verdict. Raises what `difference` raises.
    """
    if is_smoke((*a, *b)):
        return message("smoke_no_verdict")
    key = verdict(difference(a, b), margin)
    values = {
        "a": method_name(a[0]),
        "b": method_name(b[0]),
        "margin": with_unit(margin, a[0].experiment.task),
        "runs": _runs(a, b),
    }
    return message(f"verdict_{key}", **values)


def rank_verdict(results: Sequence[Result], reference: int) -> str:
    """The title of the rank comparison: whether any rank's score stands out from the reference rank's.

    Smoke results get no verdict. With m ranks beside the reference, each interval is at 1 - 0.05/m, so that all
    together err in 5 % of studies at most (Bonferroni).
    """
    if is_smoke(results):
        return message("smoke_no_verdict")
    by_rank: dict[int, list[Result]] = {}
    for result in results:
        by_rank.setdefault(result.experiment.rank, []).append(result)
    base, task = by_rank.pop(reference), results[0].experiment.task
    level, apart = 1 - 0.05 / max(1, len(by_rank)), []
    for rank, group in by_rank.items():
        found = difference(group, base)
        if abs(found.mean) > found.half(level):
            apart.append(f"r={rank}, {amount(found.mean, task)} ± {amount(found.half(level), task)}")
    values = {
        "first": reference,
        "alpha": number(base[0].experiment.alpha, 0),
        "unit": message(SCORES[task].unit),
        "runs": _runs(base),
    }
    if not apart:
        return message("ranks_cannot_tell", **values)
    return message("ranks_differ", apart="; ".join(apart), **values)


def sentences(full: Sequence[Result], lora: Sequence[Result], ratios: Sequence[float] = ()) -> list[str]:
    """What full fine-tuning and LoRA did here: score, parameters, speed, memory. Each follows from the numbers.

    `ratios` are times of full fine-tuning over LoRA's, measured in turns; without them the runs' own seconds speak.
    """
    saved = 1 - mean(map(peak_bytes, lora)) / mean(map(peak_bytes, full))
    parameters = lora[0].parameters
    text = [
        compare(full, lora),
        message(
            "parameters_sentence" if parameters["head"] else "parameters_sentence_no_head",
            trainable=number(parameters["trainable"], 0),
            share=percent(parameters["trainable"] / parameters["total"], 2),
            adapter=number(parameters["adapter"], 0),
            head=number(parameters["head"], 0),
        ),
        speed_in_turns(ratios) if ratios else _speed_in_sequence(full, lora),
        message(
            "memory_less" if saved > 0 else "memory_more",
            saved=percent(abs(saved)),
            method=message(f"measured_{full[0].memory['method']}"),
        ),
    ]
    if is_smoke((*full, *lora)):
        text.insert(0, message("smoke_banner"))
    return text


def speed_in_turns(ratios: Sequence[float]) -> str:
    """One sentence: which method's step is the quicker, from times in turns, or that one cannot tell."""
    low, _, high = ratio_interval(ratios)
    key = "faster" if low > 1 else "slower" if high < 1 else "unclear"
    return message(f"in_turns_{key}", times=times(ratios), rounds=len(ratios))


def _speed_in_sequence(full: Sequence[Result], lora: Sequence[Result]) -> str:
    ratio = mean(map(training_seconds, full)) / mean(map(training_seconds, lora))
    speed = "unclear" if abs(ratio - 1) <= TIMING_NOISE else "faster" if ratio > 1 else "slower"
    return message(f"speed_{speed}", ratio=number(max(ratio, 1 / ratio), 2), times=len(full))


def forgetting(base: Result, tuned: Sequence[Result]) -> str:
    """One sentence: what fine-tuning did to the loss on text of another kind, in nats a token, mean over the seeds."""
    before, each = base.test["other_loss"], [r.test["other_loss"] for r in tuned]
    after = mean(each)
    key = "forgot" if round(after - before, 3) > 0 else "kept"
    by_seed = " · ".join(number(value - before, 3) for value in each)
    values = {
        "before": number(before, 3),
        "after": number(after, 3),
        "change": number(after - before, 3),
        "each": f"; {message('mean_of', values=by_seed)}" if len(each) > 1 else "",
    }
    return marked(message(key, method=method_name(tuned[0]), **values), [base, *tuned])
