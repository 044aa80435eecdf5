"""Tables from results, and from nothing else."""

from collections.abc import Callable, Sequence
from statistics import mean
from typing import TypeVar

import pandas as pd

from loralab.experiment import Result
from loralab.messages import message, number, percent, scientific
from loralab.show.scores import method_name, score_of

K = TypeVar("K")
COSTS = (
    "trainable", "trainable_adapter", "trainable_share", "seconds", "minutes", "peak_memory", "speedup", "memory_saved",
    "test_examples", "seeds",
)  # fmt: skip
# The fewest test examples of a finding: ± 10 points of accuracy (1.96·√(¼/n)); ± 0.16 nats, twice what 64 answers give.
LEAST_TEST = {"classification": 100, "generation": 16}


def grouped(results: Sequence[Result], key: Callable[[Result], K]) -> dict[K, list[Result]]:
    """The results by what `key` gives of each, in order of first appearance."""
    groups: dict[K, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def too_small(results: Sequence[Result]) -> bool:
    """Whether any of the results comes from so small a test that its numbers are no findings."""
    return any(result.experiment.test_size < LEAST_TEST[result.experiment.task] for result in results)


def marked(text: str, results: Sequence[Result]) -> str:
    """The text, with a mark if its results are `too_small`."""
    return f"[{message('small_mark')}] {text}" if too_small(results) else text


def comparison_table(results: Sequence[Result]) -> pd.DataFrame:
    """What each method reached and cost: one column a method, means over its seeds, text ready to read.

    The results are of one task. Speed-up and memory saved are against full fine-tuning. Rows that no method fills go.
    """
    groups = grouped(results, method_name)
    full = next((group for group in groups.values() if group[0].experiment.method == "full"), None)
    rows = score_of(results).rows
    table = pd.DataFrame({name: {**rows(group), **_cost_rows(group, full)} for name, group in groups.items()})
    table.columns.name = message("small_mark") if too_small(results) else None
    return table[(table != "–").any(axis=1)]


def _cost_rows(group: Sequence[Result], full: Sequence[Result] | None) -> dict[str, str]:
    rows, seconds = dict.fromkeys(COSTS, "–"), mean(map(training_seconds, group))
    rows |= {"seconds": number(seconds, 1), "minutes": number(seconds / 60, 2)}
    rows |= {"test_examples": number(len(group[0].labels), 0), "seeds": str(len({r.experiment.seed for r in group}))}
    if parameters := group[0].parameters:
        peak = mean(map(peak_bytes, group))
        rows["trainable"] = number(parameters["trainable"], 0)
        rows["trainable_adapter"] = number(parameters["adapter"], 0)
        rows["trainable_share"] = percent(parameters["trainable"] / parameters["total"], 3)
        rows["peak_memory"] = number(peak / 2**20, 0)
        if full:
            rows["speedup"] = number(mean(map(training_seconds, full)) / seconds, 2)
            rows["memory_saved"] = percent(1 - peak / mean(map(peak_bytes, full)))
    return {message(name): text for name, text in rows.items()}


def size_text(size: int | str) -> str:
    """A split's size, rows or "all", as text."""
    return size if isinstance(size, str) else number(size, 0)


def peak_bytes(result: Result) -> float:
    """The peak memory of a result's training."""
    return float(result.memory["peak_bytes"])


def training_seconds(result: Result) -> float:
    """How long a result's training took, evaluation left out."""
    return result.seconds["training"]


def samples_table(results: Sequence[Result], count: int = 10) -> pd.DataFrame:
    """The answers of several models to the same first questions of the test: one row a question, one column a model.

    The first result of each method counts; line breaks are left out; the reference answer stands first. The columns'
    name says how answers were decoded, and if they are too few. Raises ValueError if the results did not answer the
    same questions.
    """
    firsts = {name: group[0] for name, group in grouped(results, method_name).items()}
    asked = results[0].questions
    if any(result.questions != asked for result in firsts.values()):
        raise ValueError(message("other_questions", names=", ".join(firsts)))
    table = pd.DataFrame(
        {message("reference_answer"): results[0].labels[:count]}
        | {name: [" ".join(text.split()) for text in r.predictions[:count]] for name, r in firsts.items()},
        index=pd.Index(asked[:count], name=message("question")),
    )
    notes = [decoding_text(r) for r in results if "max_new_tokens" in r.experiment.reads][:1]
    table.columns.name = " · ".join([*notes, *([message("small_mark")] if too_small(results) else [])]) or None
    return table


def decoding_text(result: Result) -> str:
    """How a model's answers were decoded, in words."""
    run = result.experiment
    parts = [message("decoding", limit=run.max_new_tokens)]
    if run.repetition_penalty != 1:
        parts.append(message("penalty", factor=number(run.repetition_penalty, 2)))
    return ", ".join(parts)


def provenance_table(results: Sequence[Result]) -> pd.DataFrame:
    """Where each result comes from: one row a result."""
    return pd.DataFrame(
        {
            message("result"): result.experiment.key,
            message("profile"): result.experiment.profile,
            message("seed"): result.experiment.identity().get("seed", "–"),
            message("learning_rate"): scientific(result.experiment.learning_rate) if result.parameters else "–",
            **{message(name): result.provenance.get(name, "–") for name in ("data", "recipe", "weights")},
            "torch": result.provenance["versions"]["torch"],
            **{message(name): result.provenance[name] for name in ("device", "date")},
        }
        for result in results
    )
