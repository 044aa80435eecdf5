"""Sentences and verdicts from results, and from nothing else."""

from collections.abc import Sequence
from statistics import mean

from loralab.experiment import Result
from loralab.messages import message, number, percent
from loralab.show.scores import difference, method_name, score_of
from loralab.show.stats import ratio_interval, verdict
from loralab.show.tables import LEAST_TEST, grouped, marked, peak_bytes, too_small, training_seconds

# One timing of each method says nothing below this: ranks 8 and 16, which do almost the same work, differed by 12 %.
TIMING_NOISE = 0.15
VERDICTS = {
    "equivalent": "verdict_equivalent", "different": "verdict_different",
    "negligible": "verdict_negligible", "cannot_tell": "verdict_cannot_tell",
}  # fmt: skip
MEASURED = {"profiler": "measured_profiler", "cuda": "measured_cuda"}


def times(ratios: Sequence[float]) -> str:
    """A ratio measured round by round, with its 95 % interval."""
    low, middle, high = (number(value, 2) for value in ratio_interval(ratios))
    return message("times_interval", middle=middle, low=low, high=high)


def compare(a: Sequence[Result], b: Sequence[Result], level: float = 0.95) -> str:
    """One sentence: whose accuracy (or loss on the answers) is higher on their common test, or that it cannot tell.

    Raises what `difference` raises.
    """
    gap, score = difference(a, b), score_of(a)
    middle, half = gap.mean, gap.half(level)
    more, less, cannot_tell = score.compared
    key = cannot_tell if abs(middle) <= half else more if middle > 0 else less
    about = {"a": method_name(a[0]), "b": method_name(b[0]), "runs": _runs(a, b)}
    amounts = {"signed": middle, "difference": abs(middle), "half": half}
    about |= {name: score.amount(value) for name, value in amounts.items()}
    return marked(message(key, examples=number(len(a[0].labels), 0), **about), (*a, *b))


def _runs(*groups: Sequence[Result]) -> str:
    runs = [result.experiment for group in groups for result in group]
    seeds = sorted({run.seed for run in runs if "seed" in run.reads})
    if not seeds:
        return message("no_training")
    return message("one_seed", seed=seeds[0]) if len(seeds) == 1 else message("many_seeds", seeds=len(seeds))


def margin_verdict(a: Sequence[Result], b: Sequence[Result], margin: float) -> str:
    """One sentence: equivalent within the margin (share or nats), different, different but negligible, or cannot tell.

    Results of too small a test get no verdict. Raises what `difference` raises.
    """
    if too_small((*a, *b)):
        return message("small_no_verdict")
    key, names = VERDICTS[verdict(difference(a, b), margin)], {"a": method_name(a[0]), "b": method_name(b[0])}
    return message(key, margin=score_of(a).with_unit(margin), runs=_runs(a, b), **names)


def rank_verdict(results: Sequence[Result], reference: int) -> str:
    """The title of the rank comparison: whether any rank's score stands out from the reference rank's.

    Results of too small a test get no verdict. With m ranks beside the reference, each interval is at 1 - 0.05/m, so
    that all together err in 5 % of studies at most (Bonferroni).
    """
    if too_small(results):
        return message("small_no_verdict")
    others = grouped(results, lambda result: result.experiment.rank)
    base, score = others.pop(reference), score_of(results)
    level, apart = 1 - 0.05 / max(1, len(others)), []
    for rank, group in others.items():
        gap = difference(group, base)
        if abs(gap.mean) > gap.half(level):
            apart.append(f"r={rank}, {score.amount(gap.mean)} ± {score.amount(gap.half(level))}")
    alpha, unit = number(base[0].experiment.alpha, 0), message(score.unit)
    values = {"first": reference, "alpha": alpha, "unit": unit, "runs": _runs(base), "apart": "; ".join(apart)}
    return message("ranks_differ" if apart else "ranks_cannot_tell", **values)


def findings(full: Sequence[Result], lora: Sequence[Result], ratios: Sequence[float] = ()) -> list[str]:
    """What full fine-tuning and LoRA did here: score, parameters, speed, memory. Each follows from the numbers.

    `ratios` are times of full fine-tuning over LoRA's, measured in turns; without them the runs' own seconds speak.
    """
    parameters, how = lora[0].parameters, message(MEASURED[full[0].memory["method"]])
    counts = {name: number(parameters[name], 0) for name in ("trainable", "adapter", "head")}
    share = percent(parameters["trainable"] / parameters["total"], 2)
    saved = 1 - mean(map(peak_bytes, lora)) / mean(map(peak_bytes, full))
    text = [
        compare(full, lora),
        message("parameters_sentence" if parameters["head"] else "parameters_sentence_no_head", share=share, **counts),
        speed_in_turns(ratios) if ratios else _speed_in_sequence(full, lora),
        message("memory_less" if saved > 0 else "memory_more", saved=percent(abs(saved)), method=how),
    ]
    return [message("small_banner", **LEAST_TEST), *text] if too_small((*full, *lora)) else text


def speed_in_turns(ratios: Sequence[float]) -> str:
    """One sentence: which method's step is the quicker, from times in turns, or that one cannot tell."""
    low, _, high = ratio_interval(ratios)
    key = "in_turns_faster" if low > 1 else "in_turns_slower" if high < 1 else "in_turns_unclear"
    return message(key, times=times(ratios), rounds=len(ratios))


def _speed_in_sequence(full: Sequence[Result], lora: Sequence[Result]) -> str:
    ratio = mean(map(training_seconds, full)) / mean(map(training_seconds, lora))
    key = "speed_unclear" if abs(ratio - 1) <= TIMING_NOISE else "speed_faster" if ratio > 1 else "speed_slower"
    return message(key, ratio=number(max(ratio, 1 / ratio), 2), times=len(full))


def forgetting(base: Result, tuned: Sequence[Result]) -> str:
    """One sentence: what fine-tuning did to the loss on text of another kind, in nats a token, mean over the seeds."""
    before, each = base.test["other_loss"], [r.test["other_loss"] for r in tuned]
    after = mean(each)
    change = after - before
    values = {"before": number(before, 3), "after": number(after, 3), "change": number(change, 3)}
    by_seed = " · ".join(number(value - before, 3) for value in each)
    values["each"] = f"; {message('mean_of', values=by_seed)}" if len(each) > 1 else ""
    key = "forgot" if round(change, 3) > 0 else "kept"
    return marked(message(key, method=method_name(tuned[0]), **values), [base, *tuned])
