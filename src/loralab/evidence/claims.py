"""What people claim of LoRA, on trial: each verdict follows from results, and from nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from loralab.evidence.study import Evidence, scale_groups
from loralab.experiment import Result
from loralab.messages import message, number, percent
from loralab.show.scores import Score, difference
from loralab.show.sentences import times
from loralab.show.stats import Difference, ratio_interval
from loralab.show.tables import peak_bytes, too_small

# What the claims say, in numbers.
ABOUT_ONE_PERCENT = (0.005, 0.02)
FASTER, MEMORY_SAVED = 3.0, 0.5  # what exceeds the claims' upper ends, 5 times and 70 %, keeps their promise too
ABOUT_TEN_TIMES = (5.0, 20.0)
ENOUGH = (4, 8)
SMALL = 0.05  # of the model's bytes: "small" names no number, so this is ours
BYTES = 4  # of a parameter as it is kept: fp32
CONFIRMED, REFUTED, UNDECIDED, NOT_JUDGED = "confirmed", "refuted", "undecided", "not_judged"
# What is claimed, and what the literature says of it.
CLAIMS = {
    "share": ("claim_share", "literature_share"), "speed": ("claim_speed", "literature_speed"),
    "memory": ("claim_memory", "literature_memory"), "same": ("claim_same", "literature_same"),
    "rank": ("claim_rank", "literature_rank"), "rate": ("claim_rate", "literature_rate"),
    "enough": ("claim_enough", "literature_enough"), "small": ("claim_small", "literature_small"),
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A claim on one track: how it was judged, what was measured, and how many experiments stand behind it.

    `name` is its key in CLAIMS, and `measured` the number with its interval as text.
    """

    name: str
    task: str
    judged: str
    measured: str
    behind: str


def judge(low: float, high: float, least: float, most: float = math.inf) -> str:
    """Confirmed if the interval lies within what is claimed, refuted if outside, undecided if it has a part of both."""
    if least <= low and high <= most:
        return CONFIRMED
    return REFUTED if high < least or low > most else UNDECIDED


def judge_claims(evidence: Evidence) -> list[Claim]:
    """Every claim that a track's evidence has something to say about, judged. Results of too small a test are not."""
    claims = [_share(evidence), *_speed(evidence), _memory(evidence), _same(evidence)]
    claims += [*_rank(evidence), *_rate(evidence), *_enough(evidence), _small(evidence)]
    return [replace(claim, judged=NOT_JUDGED) for claim in claims] if too_small(evidence.comparison) else claims


def _claim(name: str, evidence: Evidence, judged: str, measured: str, behind: str) -> Claim:
    return Claim(name, evidence.track.task, judged, measured, behind)


def _pairs(results: Sequence[Result]) -> str:
    return message("behind_pairs", count=len(results), examples=number(len(results[0].labels), 0))


def _tried(evidence: Evidence) -> list[Result]:
    """LoRA's runs of the comparison, and of every rank and choice of modules beside it."""
    return [*evidence.of("lora"), *evidence.ranks, *evidence.targets]


def _default_and_range(shares: Sequence[float], digits: int) -> str:
    """The first share, of the profile's own rank and modules, and from where to where the others go."""
    default, low, high = (percent(share, digits) for share in (shares[0], min(shares), max(shares)))
    return default if low == high else message("default_and_range", default=default, low=low, high=high)


def _share(evidence: Evidence) -> Claim:
    shares = [r.parameters["trainable"] / r.parameters["total"] for r in _tried(evidence)]
    judged = judge(min(shares), max(shares), *ABOUT_ONE_PERCENT)
    return _claim("share", evidence, judged, _default_and_range(shares, 2), message("behind_counted"))


def _speed(evidence: Evidence) -> list[Claim]:
    if evidence.timing is None:
        return []
    ratios = evidence.timing.ratios
    low, _, high = ratio_interval(ratios)
    behind = message("behind_rounds", count=len(ratios))
    return [_claim("speed", evidence, judge(low, high, FASTER), times(ratios), behind)]


def _memory(evidence: Evidence) -> Claim:
    """Each LoRA run against full fine-tuning's with the same seed, which has the same batches."""
    peaks = {r.experiment.seed: peak_bytes(r) for r in evidence.of("full")}
    saved = [1 - peak_bytes(r) / peaks[r.experiment.seed] for r in _tried(evidence)]
    judged = judge(min(saved), max(saved), MEMORY_SAVED)
    behind = message("behind_peak", batch=evidence.of("lora")[0].experiment.batch_size)
    return _claim("memory", evidence, judged, _default_and_range(saved, 1), behind)


def _with_interval(gap: Difference, score: Score) -> str:
    return f"{score.signed(gap)} {message(score.unit)}"


def _gain(gap: Difference, score: Score) -> tuple[float, float]:
    """What the first has more of the good, accuracy or less of a loss, at 90 %: like two one-sided tests."""
    mean, half = gap.mean if score.higher_is_better else -gap.mean, gap.half(0.9)
    return mean - half, mean + half


def _same(evidence: Evidence) -> Claim:
    """As well as the other is within the margin, either way."""
    lora, score, margin = evidence.of("lora"), evidence.score, evidence.track.margin
    gap = difference(evidence.of("full"), lora)
    judged = judge(*_gain(gap, score), -margin, margin)
    text = f"r = {lora[0].experiment.rank}: {_with_interval(gap, score)}"
    return _claim("same", evidence, judged, text, _pairs(lora))


def _gain_text(rule: str, low: int, high: int, gap: Difference, score: Score) -> str:
    return f"{message(rule)}, {message('from_to', low=low, high=high, found=_with_interval(gap, score))}"


def _rank(evidence: Evidence) -> list[Claim]:
    """The highest rank's score less the lowest's, alpha fixed: better is by the margin at least."""
    low, high, score = min(evidence.track.ranks), max(evidence.track.ranks), evidence.score
    if not evidence.ranks or low == high:
        return []
    gap = difference(evidence.at_rank(high), evidence.at_rank(low))
    judged = judge(*_gain(gap, score), evidence.track.margin)
    text = _gain_text("scale_fixed", low, high, gap, score)
    return [_claim("rank", evidence, judged, text, _pairs(evidence.at_rank(low)))]


def _enough(evidence: Evidence) -> list[Claim]:
    """A rank is enough if the highest one gains less than the margin on it, by each scale rule that was tried.

    Of the ranks that the claim names, those that were run: each with alpha fixed, and the reference rank by the others.
    """
    score, reference, high = evidence.score, evidence.track.rank, max(evidence.track.ranks)
    tried = [("scale_fixed", rank, evidence.ranks) for rank in ENOUGH if rank < high]
    if evidence.scales and reference in ENOUGH:
        tried += [(rule, reference, runs) for rule, runs in scale_groups(evidence).items() if rule != "scale_fixed"]
    gains, texts, used = [], [], set()
    for rule, rank, runs in tried:
        lower, higher = ([r for r in runs if r.experiment.rank == chosen] for chosen in (rank, high))
        if lower and higher:
            gap = difference(higher, lower)
            gains.append(_gain(gap, score))
            texts.append(_gain_text(rule, rank, high, gap, score))
            used |= {r.experiment.key for r in (*lower, *higher)}
    if not gains:
        return []
    lows, highs = zip(*gains, strict=True)
    judged = judge(max(lows), max(highs), -math.inf, evidence.track.margin)
    return [_claim("enough", evidence, judged, "; ".join(texts), message("behind_runs", count=len(used)))]


def _rate(evidence: Evidence) -> list[Claim]:
    """The ratio of the best rates, each known to within its neighbours in the sweep: a step of each, either way."""
    sweeps = {sweep.method: sweep for sweep in evidence.sweeps}
    if not {"full", "lora"} <= set(sweeps):
        return []
    full, lora = sweeps["full"], sweeps["lora"]
    ratio, step = lora.best / full.best, full.step * lora.step
    low, high = ratio / step, ratio * step
    judged = UNDECIDED if full.at_edge or lora.at_edge else judge(low, high, *ABOUT_TEN_TIMES)
    text = message("times_interval", middle=number(ratio, 0), low=number(low, 0), high=number(high, 0))
    behind = message("behind_sweeps", full=len(full.results), lora=len(lora.results))
    return [_claim("rate", evidence, judged, text, behind)]


def _small(evidence: Evidence) -> Claim:
    parameters = evidence.of("lora")[0].parameters
    kept, whole = parameters["trainable"] * BYTES, parameters["total"] * BYTES
    text = message("small_found", kept=number(kept / 1e6, 1), whole=number(whole / 1e6, 0), share=percent(kept / whole))
    return _claim("small", evidence, judge(kept / whole, kept / whole, 0, SMALL), text, message("behind_counted"))


def claims_note() -> str:
    """How the claims are judged, in words."""
    low, high = map(percent, ABOUT_ONE_PERCENT)
    least, most = (number(rate, 0) for rate in ABOUT_TEN_TIMES)
    return message("claims_note", share_low=low, share_high=high, rate_low=least, rate_high=most)


def claims_table(judged: Sequence[Claim]) -> pd.DataFrame:
    """The claims in words, a row each: how judged, what was measured, what stands behind it, what others say."""
    return pd.DataFrame(
        {
            message("claim"): message(CLAIMS[c.name][0]),
            message("track"): message(c.task),
            message("verdict"): message(c.judged),
            message("found"): c.measured,
            message("behind"): c.behind,
            message("literature"): message(CLAIMS[c.name][1]),
        }
        for c in judged
    )
