"""Checks that a table of known answers cannot make, and what probes are made of; see loralab.lessons.catalogue.

Most are of exercises that train: the results that a student hands over, and what is made of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import BertProcessing, RobertaProcessing
from torch import nn
from transformers import PreTrainedTokenizerFast

from loralab.experiment import Result
from loralab.lessons.answers import OTHER, Mistake, agree, changed, code, has, interval, row_of, runs_of, side
from loralab.lessons.by_hand import metric_of
from loralab.lessons.catalogue import exercises
from loralab.profiles import Profile, load_profile
from loralab.show.scores import difference
from loralab.show.stats import half_width, verdict
from loralab.show.tables import peak_bytes, training_seconds
from loralab.train.models import empty_model

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
RANKS, REFERENCE = (4, 8, 16), 8
LEVEL = 1 - 0.05 / 2  # two comparisons
METHODS, MANY, FEW = ("full", "lora"), "large", "small"
CHANGES = {"test_size": "test", "split_seed": "split", "epochs": "epochs"}


def gemma_pattern(answer: Any) -> Mistake:
    """The modules that peft would take for it are looked at, not the pattern."""
    if not isinstance(answer, str | list | tuple | set):
        return OTHER
    gemma = empty_model(load_profile("large").generation.experiment("lora"))
    modules = {name: module for name, module in gemma.named_modules() if name}
    linear = {name for name, module in modules.items() if isinstance(module, nn.Linear)}
    config = LoraConfig(target_modules=answer if isinstance(answer, str) else list(answer))
    matched = {name for name in modules if check_target_module_exists(config, name)}
    adapted = linear if answer == "all-linear" else matched
    wanted = {name for name in linear if "language_model" in name and name.endswith(ATTENTION)}
    if in_vision := [name for name in adapted if "vision_tower" in name]:
        return "vision", {"found": len(adapted), "vision": len(in_vision)}
    if not adapted <= linear:
        return "not_linear", {"name": min(adapted - linear)}
    if adapted == wanted:
        return None
    if adapted > wanted:
        return "too_many", {"found": len(adapted)}
    if not adapted:
        return "none"
    return ("some", {"found": len(adapted)}) if adapted < wanted else OTHER


def small_tokenizers(texts: Sequence[str]) -> list[PreTrainedTokenizerFast]:
    """Two with a small vocabulary: one sets pairs apart as BERT does, the other as RoBERTa does."""
    made = []
    for start, end, marks in (("[CLS]", "[SEP]", BertProcessing), ("<s>", "</s>", RobertaProcessing)):
        words = [start, end, "<unk>", "<pad>", *sorted({word for text in texts for word in text.split()})]
        numbers = {word: number for number, word in enumerate(words)}
        tokenizer = Tokenizer(WordLevel(numbers, unk_token="<unk>"))
        tokenizer.pre_tokenizer = Whitespace()
        tokenizer.post_processor = marks((end, numbers[end]), (start, numbers[start]))
        names = {"cls_token": start, "sep_token": end, "unk_token": "<unk>", "pad_token": "<pad>"}
        made.append(PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names))
    return made


def four_verdicts(judge: Callable[..., Any]) -> Mistake:
    """A function of both bars' ends and the margin, all in points, to one of four verdicts."""
    rulers = exercises()["four_verdicts"]["rulers"]
    answers = [code(judge(*ruler)) for ruler, *_ in rulers]
    if answers == [right for _, right, *_ in rulers]:
        return None
    if len(set(answers)) == 1:  # it does not look at the bars
        return OTHER
    return next((hint for answer, (*_, hint, wrong) in zip(answers, rulers, strict=True) if answer == wrong), OTHER)


def another_model(profile: Profile, models: Sequence[str], adapters: Any, results: Any) -> Mistake:
    """LoRA on other models: the adapter's parameters by the formula, and the results, each by the model's name."""
    if not models or not has(adapters, models) or not has(results, models):
        return OTHER
    for model in models:
        runs = runs_of(results[model])
        if len(runs) != 1 or runs[0].experiment.model != model:
            return OTHER
        if runs[0].experiment.method != "lora":
            return "method"
        if changed(runs[0], profile.experiment("lora", model=model)):
            return "recipe"
        parameters = runs[0].parameters
        known = {"head": parameters["trainable"], "names": 0, None: parameters["adapter"]}
        if hint := next((hint for hint, count in known.items() if agree(adapters[model], count, 0)), OTHER):
            return hint
    return None


def glue_study(profile: Profile, sizes: Mapping[str, int], names: Sequence[str], results: Any, table: Any) -> Mistake:
    """LoRA and the majority class on several data sets: results, and (metric, LoRA's score, the majority's) by name."""
    if not names or not has(results, names) or not has(table, names):
        return OTHER
    rows, named = [], []
    for dataset in names:
        runs, row = runs_of(results[dataset]), row_of(table[dataset])
        by_method = {run.experiment.method: run for run in runs}
        if "lora" not in by_method or not row:
            return OTHER
        if "majority" not in by_method or len(row) < 3:
            return "majority"
        if any(changed(run, profile.experiment(name, dataset=dataset, **sizes)) for name, run in by_method.items()):
            return "recipe"
        rows.append(row)
        named.append((metric_of(dataset), by_method["lora"], by_method["majority"]))
    known = [
        (None, [(lora.test[metric], most.test[metric]) for metric, lora, most in named]),
        ("accuracy", [(lora.test["accuracy"], most.test["accuracy"]) for _, lora, most in named]),
        ("validation", [(lora.epochs[-1][metric], most.test[metric]) for metric, lora, most in named]),
        ("half", [(lora.test[metric], 0.5) for metric, lora, _ in named]),
    ]
    given = [row[1:3] for row in rows]
    hint = next((hint for hint, scores in known if agree(given, scores, 0, 0.001)), OTHER)
    misnamed = hint is None and any(code(row[0]) != metric for row, (metric, *_) in zip(rows, named, strict=True))
    return OTHER if misnamed else hint


def rank_study(profile: Profile, results: Any, table: Any, gap: Any, against_8: Any) -> Mistake:
    """Ranks 4, 8 and 16 with alpha = 2r: results; (accuracy, seconds, MiB), interval and verdict against 8 by rank."""
    groups = {rank: [r for r in runs_of(results) if r.experiment.rank == rank] for rank in RANKS}
    if mistake := recipe_of(profile, groups):
        return mistake
    others = [rank for rank in RANKS if rank != REFERENCE]
    if not has(table, RANKS) or not has(gap, others) or not has(against_8, others):
        return OTHER
    if mistake := costs_of(groups, table):
        return mistake
    gaps = {rank: difference(groups[rank], groups[REFERENCE]) for rank in others}
    answered = {rank: code(against_8[rank]) for rank in others}
    if answered != {rank: side(gaps[rank], LEVEL) for rank in others}:
        by_means = {rank: "better" if gaps[rank].mean > 0 else "worse" for rank in others}
        return "means" if answered == by_means else OTHER
    if all(agree(gap[rank], interval(gaps[rank], LEVEL), 0.01, 0.06) for rank in others):
        return None
    return "level" if all(agree(gap[rank], interval(gaps[rank]), 0.01, 0.06) for rank in others) else OTHER


def recipe_of(profile: Profile, groups: dict[int, list[Result]]) -> Mistake:
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


def costs_of(groups: dict[int, list[Result]], table: Any) -> Mistake:
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
    if hint := next((name for name, known in scores if agree(given, known, 0, 0.001)), OTHER):
        return hint
    seconds = [mean(map(training_seconds, group)) for group in runs]
    mib = [mean(map(peak_bytes, group)) / 2**20 for group in runs]
    right = agree([row[1] for row in rows], seconds, 0.01, 0.5) and agree([row[2] for row in rows], mib)
    return None if right else "costs"


def modules_study(profile: Profile, few: Any, many: Any, gap: Any, outcome: Any) -> Mistake:
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
    if len(large) == 1 and max(large) > max(small):
        return "dense"
    if large != small:
        return OTHER
    gained = difference(groups[1], groups[0])
    if code(outcome) != side(gained):
        return "means" if code(outcome) == ("better" if gained.mean > 0 else "worse") else OTHER
    return None if agree(gap, interval(gained), 0.01, 0.06) else OTHER


def more_data(profile: Profile, sizes: Any, runs: Any, steps: Any, times: Any, gain: Any, outcome: Any) -> Mistake:
    """Full and LoRA on little data and on much: results, how many times the steps and seconds, gains and a verdict."""
    keys = [(method, size) for method in METHODS for size in (FEW, MANY)]
    if not has(runs, keys) or not has(times, METHODS) or not has(gain, METHODS):
        return OTHER
    single: dict[tuple[str, str], Result] = {}
    for method, size in keys:
        results = runs_of(runs[method, size])
        if len(results) != 1:
            return OTHER
        single[method, size] = results[0]
        if other := changed(results[0], profile.experiment(method, train_size=sizes[size])):
            return CHANGES.get(min(other), OTHER) if len(other) == 1 else OTHER
    if not agree(steps, _ratio(single, "lora", lambda result: len(result.loss_by_step)), 0.02):
        return "steps" if agree(steps, 1) else OTHER
    if not all(agree(times[method], _ratio(single, method, training_seconds), 0.05) for method in METHODS):
        return OTHER
    return intervals_of(single, gain) or worth_of(single, outcome, profile.margin)


def _ratio(runs: Mapping[tuple[str, str], Result], method: str, value: Callable[[Result], float]) -> float:
    return value(runs[method, MANY]) / value(runs[method, FEW])


def intervals_of(runs: Mapping[tuple[str, str], Result], gain: Any) -> Mistake:
    """What is wrong with the intervals of what more data gain, if anything."""
    gaps = {method: difference([runs[method, MANY]], [runs[method, FEW]]) for method in METHODS}
    bars = {key: half_width(run.test["accuracy"], len(run.labels)) for key, run in runs.items()}
    halves: list[tuple[str | None, Callable[[str], float]]] = [
        (None, lambda method: gaps[method].half()),
        ("no_interval", lambda method: 0.0),
        ("unpaired", lambda method: math.hypot(bars[method, FEW], bars[method, MANY])),
        ("unpaired", lambda method: bars[method, FEW] + bars[method, MANY]),
    ]
    for hint, half in halves:
        ends = {m: [100 * (gaps[m].mean - half(m)), 100 * (gaps[m].mean + half(m))] for m in METHODS}
        if all(agree(gain[method], ends[method], 0.01, 0.06) for method in METHODS):
            return hint
    return OTHER


def worth_of(runs: Mapping[tuple[str, str], Result], outcome: Any, margin: float) -> Mistake:
    """What is wrong with the verdict on full fine-tuning and LoRA with much data, if anything."""
    gap = difference([runs["full", MANY]], [runs["lora", MANY]])
    right = verdict(gap, margin)
    if code(outcome) == right:
        return None
    if (code(outcome), right) == ("equivalent", "cannot_tell"):
        return "equal"
    return "by_means" if code(outcome) == ("different" if abs(gap.mean) > margin else "negligible") else OTHER
