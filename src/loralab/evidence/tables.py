"""Tables of the study: design, sweeps, the main difference, ranks, modules, other methods, time."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

import numpy as np
import pandas as pd

from loralab.evidence.protocol import default_name, place_name
from loralab.evidence.study import Evidence
from loralab.evidence.sweeps import Sweep
from loralab.evidence.timing import METHODS, steps_to, target_loss
from loralab.experiment import LORA_METHODS, Result
from loralab.messages import message, number, scientific
from loralab.show.scores import difference, method_name, own_score, score_of, short_name
from loralab.show.sentences import times
from loralab.show.tables import peak_bytes

DASH = "–"


def sweep_table(sweeps: Sequence[Sweep]) -> pd.DataFrame:
    """Validation loss by learning rate, a row a method; the best marked, and whether it lies at the edge."""
    return pd.DataFrame(
        {
            message("method"): sweep.title,
            message("rates_and_losses"): " · ".join(
                f"{scientific(x)}: {number(y, 3)}" for x, y in sweep.losses.items()
            ),
            message("best_rate"): scientific(sweep.best),
            message("extended"): message("yes" if sweep.extended else "no"),
            message("still_at_edge"): message("yes" if sweep.at_edge else "no"),
        }
        for sweep in sweeps
    )


def spread(runs: Sequence[Result]) -> dict[str, str]:
    """A group's score: mean, standard deviation, 95 % interval with both kinds of luck in it, and each seed's."""
    score = score_of(runs)
    values = [r.test[score.name] for r in runs]
    return {
        message("average"): score.amount(mean(values)),
        message("deviation"): number(score.factor * stdev(values), score.digits + 1) if len(values) > 1 else DASH,
        message("interval_of_both"): f"± {score.amount(own_score(runs).half())}",
        message("by_seed"): " · ".join(map(score.amount, values)),
    }


def costs(runs: Sequence[Result]) -> dict[str, str]:
    """A group's parameters, learning rate and memory of training."""
    return {
        message("trainable"): number(runs[0].parameters["trainable"], 0),
        message("trainable_adapter"): number(runs[0].parameters["adapter"], 0),
        message("learning_rate"): scientific(runs[0].experiment.learning_rate),
        message("peak_memory"): number(mean(map(peak_bytes, runs)) / 2**20, 0),
    }


def minus(runs: Sequence[Result], name: str, other: Sequence[Result]) -> dict[str, str]:
    """A group's score less that of the named one, in pairs; a dash for the named one itself."""
    shown = DASH if runs is other else score_of(runs).signed(difference(runs, other))
    return {message("minus_group", name=name): shown}


def group_table(groups: Mapping[str, Sequence[Result]], beside: str = "") -> pd.DataFrame:
    """Groups of runs, a row each: score over their seeds and costs; beside one of them, by its name, in pairs."""
    rows = {
        name: spread(runs) | (minus(runs, beside, groups[beside]) if beside else {}) | costs(runs)
        for name, runs in groups.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def other_methods_table(evidence: Evidence) -> pd.DataFrame:
    """The other methods of peft beside full fine-tuning and LoRA, one run each with the first seed.

    If the study was timed: a step's time over one of LoRA's, in turns.
    """
    first, timing = evidence.track.seeds[0], evidence.timing
    full, lora = ([r for r in evidence.of(method) if r.experiment.seed == first] for method in ("full", "lora"))
    at_edge = {sweep.method for sweep in evidence.sweeps if sweep.at_edge}
    rows = {}
    for runs in (full, lora, *([other] for other in evidence.others)):
        one, own = runs[0].experiment, own_score(runs)
        row = {
            message(evidence.score.name): evidence.score.amount(own.mean),
            message("interval_of_exam"): f"± {evidence.score.amount(own.half())}",
            **minus(runs, method_name(lora[0]), lora),
            **costs(runs),
        }
        if ("lora" if one.method in LORA_METHODS else one.method) in at_edge:
            row[message("learning_rate")] += f" {message('at_edge')}"
        if timing:
            row[message("step_over_lora")] = DASH if runs is lora else times(timing.over(one.method, "lora"))
        scaled = f", s = {number(one.scale, 2)}" if one.method in LORA_METHODS else ""
        rows[method_name(runs[0]) + scaled] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def rank_groups(evidence: Evidence) -> dict[str, Sequence[Result]]:
    """LoRA's runs by rank, on the default modules."""
    return {f"r = {rank}": runs for rank in evidence.track.ranks if (runs := evidence.places.get(f"r = {rank}"))}


def target_groups(evidence: Evidence) -> dict[str, Sequence[Result]]:
    """LoRA's runs by the modules it is on."""
    elsewhere = {place_name(name): evidence.places[name] for name in evidence.track.targets}
    return {default_name(evidence.track): evidence.of("lora"), **elsewhere}


def time_table(evidence: Evidence) -> pd.DataFrame:
    """Full fine-tuning's and LoRA's time: a step, a real token, up to one loss; and its operations by formula."""
    timing = evidence.timing
    if timing is None:
        raise ValueError(message("not_timed"))
    seconds, steps = {m: np.array(timing.seconds[m]) for m in METHODS}, _steps_to_target(evidence)
    a_step = {method: float(np.median(taken)) for method, taken in seconds.items()}
    a_token = {method: float(taken.sum() / sum(timing.tokens)) for method, taken in seconds.items()}
    pairs = zip(steps["full"], steps["lora"], strict=True)
    to_loss = times([full * a_step["full"] / (lora * a_step["lora"]) for full, lora in pairs])
    over = [number(values["full"] / values["lora"], 2) for values in (a_token, timing.expected)]
    rows = {
        "time_step": (lambda m: f"{number(1000 * a_step[m], 0)} ms", times(timing.ratios)),
        "time_token": (lambda m: f"{number(1e6 * a_token[m], 0)} µs", over[0]),
        "time_to_loss": (lambda m: f"{number(mean(steps[m]), 0)} · {number(mean(steps[m]) * a_step[m], 0)} s", to_loss),
        "operations_expected": (lambda m: f"{number(timing.expected[m] / 1e9, 1)} G", over[1]),
    }
    table = {message(name): [*map(cell, METHODS), ratio] for name, (cell, ratio) in rows.items()}
    columns = [*map(short_name, METHODS), message("ratio")]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns)


def _steps_to_target(evidence: Evidence) -> dict[str, list[int]]:
    """Steps, seed by seed, until the training loss over a quarter of an epoch is one that all runs reach."""
    full, lora = map(evidence.of, METHODS)
    window = max(1, len(full[0].loss_by_step) // len(full[0].epochs) // 4)
    target = target_loss(full, lora, window)
    return {method: [steps_to(r.loss_by_step, target, window) for r in evidence.of(method)] for method in METHODS}
