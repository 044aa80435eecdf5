"""What people claim of LoRA, on trial: each verdict follows from results, and from nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import pandas as pd

from loralab.experiment import Result
from loralab.messages import message, number, percent
from loralab.sentences import SCORES, difference, signed, times
from loralab.stats import Difference, ratio_interval
from loralab.study import Evidence, scale_groups
from loralab.tables import is_smoke, peak_bytes

# What the claims say, in numbers.
ABOUT_ONE_PERCENT = (0.005, 0.02)
FASTER, MEMORY_SAVED, RATE_RATIO = 3.0, 0.5, 10.0
SMALL = 0.05  # of the model's bytes: "small" names no number, so this is ours
BYTES = 4  # of a parameter as it is kept: fp32
CONFIRMED, REFUTED, UNDECIDED, NOT_JUDGED = "confirmed", "refuted", "undecided", "not_judged"


@dataclass(frozen=True)
class Claim:
    """A claim on one track: the verdict, what was found, and how many experiments stand behind it.

    `name` is its key in messages.toml, and `found` the number with its interval as text.
    """

    name: str
    task: str
    verdict: str
    found: str
    behind: str


def judge(low: float, high: float, least: float, most: float = math.inf) -> str:
    """Confirmed if the interval lies within what is claimed, refuted if outside, undecided if it has a part of both."""
    if least <= low and high <= most:
        return CONFIRMED
    return REFUTED if high < least or low > most else UNDECIDED


def claims(evidence: Evidence, ratios: Sequence[float] = ()) -> list[Claim]:
    """Every claim that a track's evidence has something to say about, judged. Smoke results are never judged.

    `ratios` are times of full fine-tuning over LoRA's, measured in turns, for evidence that was not timed.
    """
    if evidence.timing:
        ratios = evidence.timing.ratios
    full, lora = evidence.of("full"), evidence.of("lora")
    found = [_share(lora), *_speed(lora, ratios), _memory(full, lora), _same(evidence, full, lora)]
    found += [*_rank(evidence), *_rate(evidence), *_enough(evidence), _small(lora)]
    if is_smoke(evidence.comparison):
        return [Claim(c.name, c.task, NOT_JUDGED, c.found, c.behind) for c in found]
    return found


def _claim(name: str, results: Sequence[Result], verdict: str, found: str, behind: str) -> Claim:
    return Claim(name, results[0].experiment.task, verdict, found, behind)


def _runs(results: Sequence[Result]) -> str:
    return message("behind_runs", count=len({r.experiment.key for r in results}))


def _pairs(results: Sequence[Result]) -> str:
    examples = number(len(results[0].labels), 0)
    return message("behind_pairs", count=len(results), examples=examples)


def _share(lora: Sequence[Result]) -> Claim:
    share = lora[0].parameters["trainable"] / lora[0].parameters["total"]
    return _claim("share", lora, judge(share, share, *ABOUT_ONE_PERCENT), percent(share, 2), message("behind_counted"))


def _speed(lora: Sequence[Result], ratios: Sequence[float]) -> list[Claim]:
    if not ratios:
        return []
    low, _, high = ratio_interval(ratios)
    return [_claim("speed", lora, judge(low, high, FASTER), times(ratios), message("behind_rounds", count=len(ratios)))]


def _memory(full: Sequence[Result], lora: Sequence[Result]) -> Claim:
    saved = [1 - peak_bytes(b) / peak_bytes(a) for a, b in zip(full, lora, strict=True)]
    low, high = min(saved), max(saved)
    found = percent(mean(saved)) if high - low < 0.001 else f"{percent(low)} – {percent(high)}"
    return _claim("memory", lora, judge(low, high, MEMORY_SAVED), found, _runs([*full, *lora]))


def _with_interval(found: Difference, task: str) -> str:
    return f"{signed(found, task)} {message(SCORES[task].unit)}"


def _gain(found: Difference, task: str) -> float:
    """What the first has more of the good: accuracy, or less of a loss."""
    return found.mean if task == "classification" else -found.mean


def _same(evidence: Evidence, full: Sequence[Result], lora: Sequence[Result]) -> Claim:
    """As well as the other is within the margin, either way; both ways at 90 %, like two one-sided tests."""
    found, task, margin = difference(full, lora), evidence.track.task, evidence.track.margin
    half = found.half(0.9)
    judged = judge(found.mean - half, found.mean + half, -margin, margin)
    return _claim("same", lora, judged, _with_interval(found, task), _pairs(lora))


def _rank(evidence: Evidence) -> list[Claim]:
    """The highest rank's score less the lowest's: higher is better if the whole interval says so."""
    low, high, task = min(evidence.track.ranks), max(evidence.track.ranks), evidence.track.task
    if not evidence.ranks or low == high:
        return []
    found = difference(evidence.at_rank(high), evidence.at_rank(low))
    gain = _gain(found, task)
    if gain > found.half():
        judged = CONFIRMED
    else:
        judged = REFUTED if gain + found.half(0.9) < evidence.track.margin else UNDECIDED
    text = message("from_to", low=low, high=high, found=_with_interval(found, task))
    return [_claim("rank", evidence.ranks, judged, text, _pairs(evidence.at_rank(low)))]


def _enough(evidence: Evidence) -> list[Claim]:
    """The profile's rank is enough if no higher one gains as much as the margin, by any scale rule that was tried."""
    rank, task, margin = evidence.track.rank, evidence.track.task, evidence.track.margin
    rules = {"scale_fixed": evidence.ranks, **{k: v for k, v in scale_groups(evidence).items() if k != "scale_fixed"}}
    gains: list[Difference] = []
    texts: list[str] = []
    behind: list[str] = []
    for rule, runs in rules.items() if evidence.ranks else ():
        by_rank = {r: [x for x in runs if x.experiment.rank == r] for r in sorted({x.experiment.rank for x in runs})}
        higher = {r: difference(group, by_rank[rank]) for r, group in by_rank.items() if r > rank}
        gains += higher.values()
        found = [message("from_to", low=rank, high=r, found=_with_interval(d, task)) for r, d in higher.items()]
        texts += [f"{message(rule)}, {'; '.join(found)}"] if found else []
        behind += [f"{message(rule)}: {_pairs(by_rank[rank])}"] if found else []
    if not gains:
        return []
    if all(_gain(found, task) + found.half(0.9) < margin for found in gains):
        judged = CONFIRMED
    elif any(_gain(found, task) - found.half(0.9) > margin for found in gains):
        judged = REFUTED
    else:
        judged = UNDECIDED
    return [_claim("enough", evidence.ranks, judged, "; ".join(texts), "; ".join(behind))]


def _rate(evidence: Evidence) -> list[Claim]:
    """The ratio of the best rates, each known to within its neighbours in the sweep: a step each way."""
    found = {sweep.method: sweep for sweep in evidence.sweeps}
    if not {"full", "lora"} <= set(found):
        return []
    full, lora = found["full"], found["lora"]
    ratio, step = lora.best / full.best, max(full.step, lora.step)
    edge = full.at_edge or lora.at_edge
    judged = UNDECIDED if edge else judge(RATE_RATIO, RATE_RATIO, ratio / step, ratio * step)
    text = message("times_interval", middle=number(ratio, 0), low=number(ratio / step, 0), high=number(ratio * step, 0))
    behind = message("behind_sweeps", full=len(full.results), lora=len(lora.results))
    return [_claim("rate", evidence.comparison, judged, text, behind)]


def _small(lora: Sequence[Result]) -> Claim:
    parameters = lora[0].parameters
    kept, whole = parameters["trainable"] * BYTES, parameters["total"] * BYTES
    text = message("small_found", kept=number(kept / 1e6, 1), whole=number(whole / 1e6, 0), share=percent(kept / whole))
    return _claim("small", lora, judge(kept / whole, kept / whole, 0, SMALL), text, message("behind_counted"))


def claims_table(judged: Sequence[Claim]) -> pd.DataFrame:
    """The claims in words, a row each: verdict, what was found, what stands behind it, what the literature says."""
    rows = [
        {
            message("claim"): message(f"claim_{c.name}"),
            message("track"): message(f"report_{c.task}"),
            message("verdict"): message(f"claim_{c.verdict}"),
            message("found"): c.found,
            message("behind"): c.behind,
            message("literature"): message(f"literature_{c.name}"),
        }
        for c in judged
    ]
    return pd.DataFrame(rows)
