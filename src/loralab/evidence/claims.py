"""What people claim of LoRA, on trial: each verdict follows from results and the protocol's rules, and nothing else."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from loralab.evidence.protocol import MARGINS, RULES, place_name
from loralab.evidence.study import Evidence
from loralab.experiment import Result
from loralab.messages import message, number, percent
from loralab.show.scores import SCORES, kept
from loralab.show.sentences import times
from loralab.show.stats import Difference, mean_difference, ratio_interval
from loralab.show.tables import peak_bytes, too_small

Weighted = Sequence[tuple[float, Sequence[Result]]]  # groups of runs, and what each one's scores are multiplied by
BYTES = 4  # of a parameter as it is kept: fp32
CONFIRMED, REFUTED, UNDECIDED, DEPENDS, NOT_JUDGED = "confirmed", "refuted", "undecided", "depends", "not_judged"
# What is claimed, and what the literature says of it.
CLAIMS = {
    "share": ("claim_share", "literature_share"), "speed": ("claim_speed", "literature_speed"),
    "memory": ("claim_memory", "literature_memory"), "same": ("claim_same", "literature_same"),
    "forget": ("claim_forget", "literature_forget"),
    "rank": ("claim_rank", "literature_rank"), "rate": ("claim_rate", "literature_rate"),
    "enough": ("claim_enough", "literature_enough"), "small": ("claim_small", "literature_small"),
}  # fmt: skip
# How accuracy and loss are shown.
SHOWN = {"accuracy": SCORES["classification"], "loss": SCORES["generation"]}


@dataclass(frozen=True)
class Point:
    """One place of a claim's ground: what was measured there, in words, and how it is judged.

    `gains` are what a margin judges, by "accuracy" and "loss": more is better. `aside` is what loss says otherwise.
    """

    place: str
    judged: str
    measured: str
    gains: Mapping[str, Difference]
    aside: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim on one track: how it was judged, what was measured, and how much stands behind it, in words.

    `name` is its key in CLAIMS, `points` the places that it was judged at, `margins` what smaller margins would say.
    """

    name: str
    task: str
    judged: str
    measured: str
    behind: str
    points: Sequence[Point] = ()
    margins: str = "–"


def judge(low: float, high: float, least: float, most: float = math.inf) -> str:
    """Confirmed if the interval lies within what is claimed, refuted if outside, undecided if it has a part of both."""
    if least <= low and high <= most:
        return CONFIRMED
    return REFUTED if high < least or low > most else UNDECIDED


def over(verdicts: Sequence[str]) -> str:
    """What a claim is over its ground: what all places say; else it depends, if one confirms it and another refutes."""
    if len(set(verdicts)) == 1:
        return verdicts[0]
    return DEPENDS if {CONFIRMED, REFUTED} <= set(verdicts) else UNDECIDED


def judge_claims(evidence: Evidence) -> list[Claim]:
    """Every claim that a track's evidence has something to say about, judged. Results of too small a test are not."""
    claims = [_share(evidence), *_speed(evidence), *_memory(evidence), *_same(evidence), *_forget(evidence)]
    claims += [*_rank(evidence), *_rate(evidence), *_enough(evidence), _small(evidence)]
    if not too_small(evidence.comparison):
        return claims
    plain = [_told([replace(point, aside="") for point in claim.points]) for claim in claims]
    return [replace(c, judged=NOT_JUDGED, measured=m, margins="–") for c, m in zip(claims, plain, strict=True)]


def _told(points: Sequence[Point]) -> str:
    return "; ".join(f"{place_name(point.place)}: {point.measured}{point.aside}" for point in points)


def _claim(name: str, evidence: Evidence, points: Sequence[Point], behind: str) -> Claim:
    """The claim over its points; each verdict's places together, if there are several verdicts."""
    texts = {
        verdict: _told([point for point in points if point.judged == verdict])
        for verdict in dict.fromkeys(point.judged for point in points)
    }
    if len(texts) > 1:
        texts = {verdict: f"{message(verdict)}, {text}" for verdict, text in texts.items()}
    judged = over([point.judged for point in points])
    return Claim(name, evidence.track.task, judged, ". ".join(texts.values()), behind, points)


# By a margin.


def gain(groups: Weighted, by: str) -> Difference:
    """A sum of groups' scores, each times its weight, in pairs by seed and example; more is better, of a loss too.

    `by` is "accuracy" (a share), "loss" (nats an example, or a token of the answers), or "other" (nats a token of
    editorials). With the weights 1 and -1 it is a difference.
    """
    seeds = set.intersection(*({r.experiment.seed for r in runs} for _, runs in groups))
    chosen = [
        (w, sorted((r for r in g if r.experiment.seed in seeds), key=lambda r: r.experiment.seed)) for w, g in groups
    ]
    sign, found = 1 if by == "accuracy" else -1, [(weight, *kept(runs, by)) for weight, runs in chosen]
    return mean_difference(np.sum([sign * weight * values for weight, values, _ in found], axis=0), found[0][2])


def ends(difference: Difference) -> tuple[float, float]:
    """The ends of the interval that a margin judges."""
    half = difference.half(RULES["level"])
    return difference.mean - half, difference.mean + half


def _by_margin(
    name: str, evidence: Evidence, groups: Mapping[str, Weighted], behind: tuple[str, int],
    rule: Callable[[float, float, float], str], scores: Sequence[str] = (),
) -> list[Claim]:  # fmt: skip
    """A claim that the margin decides: `rule` judges both ends of a gain by it. None if there is nothing to judge.

    `behind` is the key of what says how many seeds and examples stand behind it, and the number of examples.
    """
    margins, points = MARGINS[evidence.track.task], []
    main = next(iter(scores or margins))
    for place, weighted in groups.items():
        gains = {by: gain(weighted, by) for by in scores or margins}
        judged = {by: rule(*ends(d), margins["loss" if by == "other" else by]) for by, d in gains.items()}
        shown = {by: SHOWN["loss" if by == "other" else by] for by in gains}
        texts = [f"{shown[by].signed(d, RULES['level'])} {message(shown[by].unit)}" for by, d in gains.items()]
        others = {by: verdict for by, verdict in judged.items() if verdict != judged[main]}
        said = "".join(f", {message('by_loss', verdict=message(verdict))}" for verdict in others.values())
        points.append(Point(place, judged[main], ", ".join(texts), gains, said))
    if not points:
        return []
    claim, margin = _claim(name, evidence, points, ""), margins["loss" if main == "other" else main]
    verdicts = {
        part: over([rule(*ends(point.gains[main]), part * margin) for point in points]) for part in MARGINS["parts"]
    }
    score = SHOWN["accuracy" if main == "accuracy" else "loss"]
    parts = {part: number(score.factor * part * margin, score.digits + 1) for part in verdicts}
    texts = [f"± {parts[part]}: {message(verdict)}" for part, verdict in verdicts.items()]
    seeds = " – ".join(map(str, sorted({len(point.gains[main].by_seed) for point in points})))
    told = message(behind[0], seeds=seeds, count=number(behind[1], 0))
    return [replace(claim, behind=told, margins=f"{'; '.join(texts)} ({message(score.unit)})")]


def _tested(evidence: Evidence) -> tuple[str, int]:
    return "behind_examples", len(evidence.of("full")[0].labels)


def _beside_full(evidence: Evidence) -> dict[str, Weighted]:
    return {place: [(1.0, runs), (-1.0, evidence.of("full"))] for place, runs in evidence.places.items()}


def _same(evidence: Evidence) -> list[Claim]:
    groups = _beside_full(evidence)
    return _by_margin("same", evidence, groups, _tested(evidence), lambda low, high, m: judge(low, high, -m))


def _forget(evidence: Evidence) -> list[Claim]:
    behind = "behind_sentences", len(evidence.of("full")[0].other_nats)
    if not behind[1]:
        return []
    return _by_margin("forget", evidence, _beside_full(evidence), behind, judge, scores=["other"])


def _by_rank(evidence: Evidence) -> dict[int, list[Result]]:
    named = {rank: evidence.places.get(f"r = {rank}") for rank in evidence.track.ranks}
    return {rank: runs for rank, runs in named.items() if runs}


def slope(ranks: Sequence[int]) -> list[float]:
    """The weights of the ranks' scores in what the least-squares line over log2(rank) rises from first to last."""
    doublings = np.log2(ranks)
    apart = doublings - doublings.mean()
    return (apart / (apart**2).sum() * (doublings.max() - doublings.min())).tolist()


def _rank(evidence: Evidence) -> list[Claim]:
    runs = _by_rank(evidence)
    if len(runs) < 2:
        return []
    line = list(zip(slope(list(runs)), runs.values(), strict=True))
    place = message("rank_line", low=min(runs), high=max(runs))
    return _by_margin("rank", evidence, {place: line}, _tested(evidence), judge)


def _enough(evidence: Evidence) -> list[Claim]:
    runs = _by_rank(evidence)
    lower = {rank: runs[rank] for rank in RULES["enough"] if rank in runs and rank < max(runs)}
    groups = {
        message("rank_less", high=max(runs), low=rank): [(1.0, runs[max(runs)]), (-1.0, own)]
        for rank, own in lower.items()
    }

    def less(low: float, high: float, margin: float) -> str:
        return judge(low, high, -math.inf, margin)

    return _by_margin("enough", evidence, groups, _tested(evidence), less)


# By counting and measuring.


def _share(evidence: Evidence) -> Claim:
    counted = {place: runs[0].parameters for place, runs in evidence.places.items()}
    shares = {place: parameters["trainable"] / parameters["total"] for place, parameters in counted.items()}
    points = [Point(p, judge(s, s, *RULES["share"]), percent(s, 2), {}) for p, s in shares.items()]
    return _claim("share", evidence, points, message("behind_counted"))


def _small(evidence: Evidence) -> Claim:
    points = []
    for place, runs in evidence.places.items():
        kept, whole = (BYTES * runs[0].parameters[name] for name in ("trainable", "total"))
        sizes = {"kept": number(kept / 1e6, 1), "whole": number(whole / 1e6, 0), "share": percent(kept / whole)}
        points.append(
            Point(place, judge(kept / whole, kept / whole, 0, RULES["small"]), message("small_found", **sizes), {})
        )
    return _claim("small", evidence, points, message("behind_counted"))


def _speed(evidence: Evidence) -> list[Claim]:
    if evidence.timing is None:
        return []
    points, own = [], f"r = {evidence.track.rank}"
    for place in evidence.places:
        if (name := "lora" if place == own else place) in evidence.timing.seconds:
            ratios = evidence.timing.over("full", name)
            low, _, high = ratio_interval(ratios)
            points.append(Point(place, judge(low, high, RULES["faster"]), times(ratios), {}))
    behind = message("behind_rounds", count=len(evidence.timing.ratios))
    return [_claim("speed", evidence, points, behind)]


def _memory(evidence: Evidence) -> list[Claim]:
    """By plan; the peaks of the runs, each against full fine-tuning's with its seed, are written beside."""
    if not evidence.planned:
        return []
    peaks = {r.experiment.seed: peak_bytes(r) for r in evidence.of("full")}
    measured = {
        place: [1 - peak_bytes(r) / peaks[r.experiment.seed] for r in runs] for place, runs in evidence.places.items()
    }
    batch = evidence.of("lora")[0].experiment.batch_size
    points: list[Point] = []
    groups: dict[str, dict[str, list[tuple[str, float]]]] = {}
    for cell in evidence.planned:
        saved, where = 1 - cell["lora"] / cell["full"], f"{cell['rows']} × {cell['length']}"
        judged = judge(saved, saved, RULES["memory"])
        points.append(Point(f"{cell['place']} · {where}", judged, percent(saved), {}))
        groups.setdefault(where, {}).setdefault(judged, []).append((cell["place"], saved))
    texts = []
    for verdict in (CONFIRMED, REFUTED):  # batches where all places agree; then the others, place by place
        agreed = {where: found[verdict] for where, found in groups.items() if list(found) == [verdict]}
        shares = [saved for found in agreed.values() for _, saved in found]
        texts += [f"{message(verdict)}, {', '.join(agreed)}: {_from_to(shares)}"] if agreed else []
    for where, found in groups.items():
        if len(found) > 1:
            named = (f"{message(v)}, {', '.join(place_name(p) for p, _ in cells)}" for v, cells in found.items())
            shares = [saved for cells in found.values() for _, saved in cells]
            texts.append(f"{where}: {_from_to(shares)} ({'; '.join(named)})")
    every = [share for shares in measured.values() for share in shares]
    texts.append(message("memory_measured", batch=batch, saved=_from_to(every)))
    verdict, behind = over([point.judged for point in points]), message("behind_plan", count=len(points))
    return [Claim("memory", evidence.track.task, verdict, ". ".join(texts), behind, points)]


def _from_to(shares: Sequence[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else message("range", low=low, high=high)


def _rate(evidence: Evidence) -> list[Claim]:
    """Each best rate is known to within half a step of its grid, either way."""
    finest = {sweep.method: sweep for sweep in (*evidence.sweeps, *evidence.finer)}
    if not {"full", "lora"} <= set(finest):
        return []
    full, points = finest["full"], []
    for sweep in (finest["lora"], *evidence.elsewhere):
        ratio, half = sweep.best / full.best, math.sqrt(sweep.step * full.step)
        low, high = ratio / half, ratio * half
        shown = {"middle": number(ratio, 0), "low": number(low, 0), "high": number(high, 0)}
        edge = f" {message('at_edge')}" if full.at_edge or sweep.at_edge else ""
        text, place = message("times_interval", **shown) + edge, sweep.place or f"r = {evidence.track.rank}"
        points.append(Point(place, judge(low, high, *RULES["rate"]), text, {}))
    counts = sorted({len(sweep.results) for sweep in (finest["lora"], *evidence.elsewhere)})
    behind = message("behind_sweeps", full=len(full.results), lora=", ".join(map(str, counts)))
    return [_claim("rate", evidence, points, behind)]


def claims_note() -> str:
    """How the claims are judged, in words."""
    low, high = map(percent, RULES["share"])
    least, most = (number(rate, 0) for rate in RULES["rate"])
    accuracy, loss = MARGINS["classification"]["accuracy"], MARGINS["classification"]["loss"]
    margins = {"points": number(100 * accuracy, 1), "nats": number(loss, 2)}
    margins["token_nats"] = number(MARGINS["generation"]["loss"], 2)
    return message("claims_note", share_low=low, share_high=high, rate_low=least, rate_high=most, **margins)


def claims_table(judged: Sequence[Claim]) -> pd.DataFrame:
    """The claims in words, a row each: how judged, what was measured, what stands behind it, what others say."""
    return pd.DataFrame(
        {
            message("claim"): message(CLAIMS[c.name][0]),
            message("track"): message(c.task),
            message("verdict"): message(c.judged),
            message("found"): c.measured,
            message("other_margins"): c.margins,
            message("behind"): c.behind,
            message("literature"): message(CLAIMS[c.name][1]),
        }
        for c in judged
    )
