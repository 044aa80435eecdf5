"""The exercises of lesson 5."""

from statistics import mean
from typing import Any

from loralab.experiment import Result
from loralab.lessons.exercises import OTHER, Examine, Found, number_is
from loralab.lessons.exercises.runs import agree, changed, code, has, interval, row_of, runs_of, side
from loralab.profiles import Profile
from loralab.show.scores import difference
from loralab.show.stats import Difference
from loralab.show.tables import peak_bytes, training_seconds

RANKS, REFERENCE = (4, 8, 16), 8
LEVEL = 1 - 0.05 / 2  # two comparisons
BEST_OF_3, BEST_OF_5 = 0.84628, 1.16296  # the mean of the best of so many standard normal numbers


def rank_study(profile: Profile, results: Any, table: Any, gap: Any, against_8: Any) -> Found:
    """Ranks 4, 8 and 16 with alpha = 2r: results; (accuracy, seconds, MiB), interval and verdict against 8 by rank."""
    groups = {rank: [r for r in runs_of(results) if r.experiment.rank == rank] for rank in RANKS}
    found = recipe_of(profile, groups)
    if found is not None:
        return found
    others = [rank for rank in RANKS if rank != REFERENCE]
    if not has(table, RANKS) or not has(gap, others) or not has(against_8, others):
        return OTHER
    found = costs_of(groups, table)
    if found is not None:
        return found
    gaps = {rank: difference(groups[rank], groups[REFERENCE]) for rank in others}
    said = {rank: code(against_8[rank]) for rank in others}
    if said != {rank: side(gaps[rank], LEVEL) for rank in others}:
        by_means = {rank: "better" if gaps[rank].mean > 0 else "worse" for rank in others}
        return "means" if said == by_means else OTHER
    if all(agree(gap[rank], interval(gaps[rank], LEVEL), 0.01, 0.06) for rank in others):
        return None
    return "level" if all(agree(gap[rank], interval(gaps[rank]), 0.01, 0.06) for rank in others) else OTHER


def recipe_of(profile: Profile, groups: dict[int, list[Result]]) -> Found:
    """What is wrong with the runs, if anything; orders them by seed."""
    if any(r.experiment.alpha != 2 * rank for rank, group in groups.items() for r in group):
        return "alpha"
    for rank, group in groups.items():
        group.sort(key=lambda result: result.experiment.seed)
        seeds = [result.experiment.seed for result in group]
        if len(seeds) == 1 < len(profile.seeds):
            return "one_seed"
        if seeds != sorted(profile.seeds):
            return OTHER
        wanted = [profile.experiment("lora", rank=rank, alpha=2 * rank, seed=seed) for seed in seeds]
        if any(changed(result, experiment) for result, experiment in zip(group, wanted, strict=True)):
            return OTHER
    return None


def costs_of(groups: dict[int, list[Result]], table: Any) -> Found:
    """What is wrong with the table of means, if anything."""
    rows = [row_of(table[rank]) for rank in groups]
    if any(len(row) != 3 for row in rows):
        return OTHER
    runs = list(groups.values())
    scores = [
        (None, [mean(r.test["accuracy"] for r in group) for group in runs]),
        ("best_seed", [max(r.test["accuracy"] for r in group) for group in runs]),
        ("validation", [mean(r.epochs[-1]["accuracy"] for r in group) for group in runs]),
        ("validation", [mean(max(e["accuracy"] for e in r.epochs) for r in group) for group in runs]),
    ]
    given = [row[0] for row in rows]
    hint = next((name for name, known in scores if agree(given, known, 0, 0.001)), OTHER)
    if hint is not None:
        return hint
    seconds = [mean(map(training_seconds, group)) for group in runs]
    mib = [mean(map(peak_bytes, group)) / 2**20 for group in runs]
    right = agree([row[1] for row in rows], seconds, 0.01, 0.5) and agree([row[2] for row in rows], mib)
    return None if right else "costs"


def modules_study(profile: Profile, few: Any, many: Any, gap: Any, outcome: Any) -> Found:
    """Query and value at r = 8 against all attention projections at r = 4: results, interval of the gain, verdict."""
    groups = [sorted(runs_of(answer), key=lambda result: result.experiment.seed) for answer in (few, many)]
    ranks = [{result.experiment.rank for result in group} for group in groups]
    seeds = [[result.experiment.seed for result in group] for group in groups]
    if any(seed != sorted(profile.seeds) for seed in seeds):
        return "seeds" if all(seeds) else OTHER
    if ranks == [{8}, {8}]:
        return "twice"
    for group, rank, may_change in zip(groups, (8, 4), (set(), {"target_modules"}), strict=True):
        wanted = [profile.experiment("lora", rank=rank, seed=result.experiment.seed) for result in group]
        if any(changed(*pair) != may_change for pair in zip(group, wanted, strict=True)):
            return OTHER
    small, large = ({result.parameters["adapter"] for result in group} for group in groups)
    if len(large) != 1:
        return OTHER
    if max(large) > max(small):
        return "dense"
    if large != small:
        return OTHER
    return gain_of(difference(groups[1], groups[0]), gap, outcome)


def gain_of(difference: Difference, gap: Any, outcome: Any) -> Found:
    """What is wrong with an interval and the verdict on it, if anything."""
    if code(outcome) != side(difference):
        return "means" if code(outcome) == ("better" if difference.mean > 0 else "worse") else OTHER
    return None if agree(gap, interval(difference), 0.01, 0.06) else OTHER


EXERCISES: dict[str, Examine] = {
    "rank_study": rank_study,
    "modules_study": modules_study,
    "winner_bonus": number_is(
        0.8 * BEST_OF_3,
        {
            "zero": 0.0,
            "in_deviations": BEST_OF_3,
            "one_deviation": 0.8,
            "five": 0.8 * BEST_OF_5,
            "range": 1.6 * BEST_OF_3,
        },
        tolerance=0.03,
    ),
}
