"""The exercises of lesson 6."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from loralab.experiment import Result
from loralab.lessons.exercises import OTHER, Examine, Found, tried
from loralab.lessons.exercises.runs import agree, changed, code, has, interval, runs_of
from loralab.profiles import Profile
from loralab.show.scores import difference
from loralab.show.stats import half_width, verdict
from loralab.show.tables import training_seconds

METHODS, MANY, FEW = ("full", "lora"), "large", "small"
CHANGES = {"test_size": "test", "split_seed": "split", "epochs": "epochs"}
SMOLLM2, LORA = 134_515_008, 4_884_480

# Arguments of the ruler's verdict in points, the right verdict, and the wrong one that each mistake gives.
RULERS: list[tuple[tuple[float, ...], str, dict[str, str]]] = [
    ((-1.5, 1.7, -1.8, 2.0, 1.0), "cannot_tell", {"zero": "equivalent"}),
    ((-0.5, 1.5, -0.7, 1.7, 1.0), "cannot_tell", {"one_side": "equivalent"}),
    ((-1.5, 0.5, -1.7, 0.7, 1.0), "cannot_tell", {"one_side": "equivalent"}),
    ((0.1, 1.5, -0.1, 1.7, 1.0), "cannot_tell", {"thick_and_zero": "different"}),
    ((0.05, 0.5, -0.05, 0.6, 1.0), "equivalent", {"thick_and_zero": "negligible"}),
    ((0.2, 0.6, 0.1, 0.7, 1.0), "negligible", {"both": "equivalent"}),
    ((-0.6, -0.2, -0.7, -0.1, 1.0), "negligible", {"both": "different"}),
    ((-0.9, 0.6, -1.1, 0.8, 1.0), "equivalent", {"thin_and_margin": "cannot_tell"}),
    ((0.2, 0.9, 0.1, 1.1, 1.0), "negligible", {"thin_and_margin": "different"}),
    ((-0.4, 0.4, -0.5, 0.5, 1.0), "equivalent", {}),
    ((-0.4, 0.4, -0.5, 0.5, 0.3), "cannot_tell", {}),
    ((1.5, 2.5, 1.4, 2.6, 1.0), "different", {}),
    ((-2.5, -1.5, -2.6, -1.4, 1.0), "different", {}),
]


def more_data(profile: Profile, sizes: Any, runs: Any, steps: Any, times: Any, gain: Any, outcome: Any) -> Found:
    """Full and LoRA on little data and on much: results, how many times the steps and seconds, gains and a verdict."""
    keys = [(method, size) for method in METHODS for size in (FEW, MANY)]
    if not has(runs, keys) or not has(times, METHODS) or not has(gain, METHODS):
        return OTHER
    found: dict[tuple[str, str], Result] = {}
    for method, size in keys:
        results = runs_of(runs[method, size])
        if len(results) != 1:
            return OTHER
        found[method, size] = results[0]
        other = changed(results[0], profile.experiment(method, train_size=sizes[size]))
        if other:
            return CHANGES.get(min(other), OTHER) if len(other) == 1 else OTHER
    ratios = {method: _ratio(found, method, training_seconds) for method in METHODS}
    if not agree(steps, _ratio(found, "lora", lambda result: len(result.loss_by_step)), 0.02):
        return "steps" if agree(steps, 1) else OTHER
    if not all(agree(times[method], ratios[method], 0.05) for method in METHODS):
        return OTHER
    return intervals_of(found, gain) or worth_of(found, outcome, profile.margin)


def _ratio(found: Mapping[tuple[str, str], Result], method: str, value: Callable[[Result], float]) -> float:
    return value(found[method, MANY]) / value(found[method, FEW])


def intervals_of(found: Mapping[tuple[str, str], Result], gain: Any) -> Found:
    """What is wrong with the intervals of what more data gain, if anything."""
    gaps = {method: difference([found[method, MANY]], [found[method, FEW]]) for method in METHODS}
    if all(agree(gain[method], interval(gaps[method]), 0.01, 0.06) for method in METHODS):
        return None
    if all(agree(gain[method], [100 * gaps[method].mean] * 2, 0.01, 0.06) for method in METHODS):
        return "no_interval"
    bars = {method: [_half(found[method, size]) for size in (FEW, MANY)] for method in METHODS}
    for half in (math.hypot, lambda a, b: a + b):
        reach = {method: half(*bars[method]) for method in METHODS}
        unpaired = {m: [100 * gaps[m].mean - reach[m], 100 * gaps[m].mean + reach[m]] for m in METHODS}
        if all(agree(gain[method], unpaired[method], 0.01, 0.06) for method in METHODS):
            return "unpaired"
    return OTHER


def _half(result: Result) -> float:
    return 100 * half_width(result.test["accuracy"], len(result.labels))


def worth_of(found: Mapping[tuple[str, str], Result], outcome: Any, margin: float) -> Found:
    """What is wrong with the verdict on full fine-tuning and LoRA with much data, if anything."""
    gap = difference([found["full", MANY]], [found["lora", MANY]])
    right = verdict(gap, margin)
    if code(outcome) == right:
        return None
    if (code(outcome), right) == ("equivalent", "cannot_tell"):
        return "equal"
    return "by_means" if code(outcome) == ("different" if abs(gap.mean) > margin else "negligible") else OTHER


def four_verdicts(judge: Callable[..., Any]) -> Found:
    """A function of both bars' ends and the margin, all in points, to one of four verdicts."""
    answers = [code(judge(*ruler)) for ruler, _, _ in RULERS]
    if all(answer == right for answer, (_, right, _) in zip(answers, RULERS, strict=True)):
        return None
    if len(set(answers)) == 1:  # it does not look at the bars
        return OTHER
    for answer, (_, _, mistakes) in zip(answers, RULERS, strict=True):
        for hint, wrong in mistakes.items():
            if answer == wrong:
                return hint
    return OTHER


def static_memory(full: Any, lora: Any) -> Found:
    """MiB of weights, gradients and AdamW's averages of SmolLM2-135M in fp32: full fine-tuning, and LoRA r = 16."""
    right = {"full": 16 * SMOLLM2, "lora": 4 * SMOLLM2 + 16 * LORA}
    mistakes: dict[str | None, tuple[float, float]] = {
        None: (right["full"], right["lora"]),
        "megabytes": (right["full"] * 1.048576, right["lora"] * 1.048576),
        "frozen": (right["full"], 16 * (SMOLLM2 + LORA)),
        "no_gradients": (12 * SMOLLM2, 4 * SMOLLM2 + 12 * LORA),
        "adapter_alone": (right["full"], 16 * LORA),
    }
    given = [tried(full), tried(lora)]
    if any(agree(value, 4 * SMOLLM2 / 2**20, 0.002) for value in given):
        return "weights"
    for hint, sizes in mistakes.items():
        if agree(given, [size / 2**20 for size in sizes], 0.005):
            return hint
    return OTHER


EXERCISES: dict[str, Examine] = {"four_verdicts": four_verdicts, "more_data": more_data, "static_memory": static_memory}
