"""What people claim of LoRA, on trial: each verdict follows from results, and from nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from loralab.experiment import Result
from loralab.messages import message, number, percent
from loralab.sentences import SCORES, difference, signed, times
from loralab.stats import Difference, ratio_interval
from loralab.study import Evidence, scale_groups
from loralab.tables import is_smoke, peak_bytes

# What the claims say, in numbers.
ABOUT_ONE_PERCENT = (0.005, 0.02)
FASTER, MEMORY_SAVED = 3.0, 0.5  # what exceeds the claims' upper ends, 5 times and 70 %, keeps their promise too
ABOUT_TEN_TIMES = (5.0, 20.0)
ENOUGH = (4, 8)
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
    found = [_share(evidence, lora), *_speed(lora, ratios), _memory(evidence, full, lora), _same(evidence, full, lora)]
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


def _tried(evidence: Evidence, lora: Sequence[Result]) -> list[Result]:
    """LoRA's runs of the comparison, and of every rank and choice of modules beside it."""
    return [*lora, *evidence.ranks, *evidence.targets]


def _default_and_range(shares: Sequence[float], digits: int) -> str:
    """The first share, of the profile's own rank and modules, and from where to where the others go."""
    default, low, high = (percent(share, digits) for share in (shares[0], min(shares), max(shares)))
    return default if low == high else message("default_and_range", default=default, low=low, high=high)


def _share(evidence: Evidence, lora: Sequence[Result]) -> Claim:
    shares = [r.parameters["trainable"] / r.parameters["total"] for r in _tried(evidence, lora)]
    judged = judge(min(shares), max(shares), *ABOUT_ONE_PERCENT)
    return _claim("share", lora, judged, _default_and_range(shares, 2), message("behind_counted"))


def _speed(lora: Sequence[Result], ratios: Sequence[float]) -> list[Claim]:
    if not ratios:
        return []
    low, _, high = ratio_interval(ratios)
    return [_claim("speed", lora, judge(low, high, FASTER), times(ratios), message("behind_rounds", count=len(ratios)))]


def _memory(evidence: Evidence, full: Sequence[Result], lora: Sequence[Result]) -> Claim:
    """Each LoRA run against full fine-tuning's with the same seed, which has the same batches."""
    peaks = {r.experiment.seed: peak_bytes(r) for r in full}
    saved = [1 - peak_bytes(r) / peaks[r.experiment.seed] for r in _tried(evidence, lora)]
    judged = judge(min(saved), max(saved), MEMORY_SAVED)
    behind = message("behind_peak", batch=lora[0].experiment.batch_size)
    return _claim("memory", lora, judged, _default_and_range(saved, 1), behind)


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
    text = f"r = {lora[0].experiment.rank}: {_with_interval(found, task)}"
    return _claim("same", lora, judged, text, _pairs(lora))


def _rank(evidence: Evidence) -> list[Claim]:
    """The highest rank's score less the lowest's, alpha fixed: better is by the margin at least, at 90 %."""
    low, high, task = min(evidence.track.ranks), max(evidence.track.ranks), evidence.track.task
    if not evidence.ranks or low == high:
        return []
    found = difference(evidence.at_rank(high), evidence.at_rank(low))
    gain, half = _gain(found, task), found.half(0.9)
    judged = judge(gain - half, gain + half, evidence.track.margin)
    return [
        _claim(
            "rank",
            evidence.ranks,
            judged,
            _gain_text("scale_fixed", low, high, found, task),
            _pairs(evidence.at_rank(low)),
        )
    ]


def _gain_text(rule: str, low: int, high: int, found: Difference, task: str) -> str:
    return f"{message(rule)}, {message('from_to', low=low, high=high, found=_with_interval(found, task))}"


def _enough(evidence: Evidence) -> list[Claim]:
    """A rank is enough if the highest one gains less than the margin on it, at 90 %, by each scale rule that was tried.

    Of the ranks that the claim names, those that were run: each with alpha fixed, and the reference rank by the others.
    """
    reference, high = evidence.track.rank, max(evidence.track.ranks)
    task, margin = evidence.track.task, evidence.track.margin
    pairs = [("scale_fixed", rank, evidence.ranks) for rank in ENOUGH if rank in evidence.track.ranks and rank < high]
    if evidence.scales and reference in ENOUGH:
        pairs += [(rule, reference, runs) for rule, runs in scale_groups(evidence).items() if rule != "scale_fixed"]
    gains, texts = [], []
    for rule, rank, runs in pairs if evidence.ranks else ():
        at = {r: [x for x in runs if x.experiment.rank == r] for r in (rank, high)}
        found = difference(at[high], at[rank]) if at[high] else None
        if found:
            gains.append((_gain(found, task) - found.half(0.9), _gain(found, task) + found.half(0.9)))
            texts.append(_gain_text(rule, rank, high, found, task))
    if not gains:
        return []
    lows, highs = zip(*gains, strict=True)
    judged = CONFIRMED if max(highs) < margin else REFUTED if max(lows) > margin else UNDECIDED
    behind = _runs([*evidence.ranks, *evidence.scales])
    return [_claim("enough", evidence.ranks, judged, "; ".join(texts), behind)]


def _rate(evidence: Evidence) -> list[Claim]:
    """The ratio of the best rates, each known to within its neighbours in the sweep: a step of each, either way."""
    found = {sweep.method: sweep for sweep in evidence.sweeps}
    if not {"full", "lora"} <= set(found):
        return []
    full, lora = found["full"], found["lora"]
    ratio, step = lora.best / full.best, full.step * lora.step
    edge = full.at_edge or lora.at_edge
    judged = UNDECIDED if edge else judge(ratio / step, ratio * step, *ABOUT_TEN_TIMES)
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
