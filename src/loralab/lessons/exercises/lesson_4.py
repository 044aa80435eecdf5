"""The exercises of lesson 4."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from loralab.lessons.by_hand import metric_of
from loralab.lessons.exercises import OTHER, Examine, Found, number_is, tried
from loralab.lessons.exercises.runs import agree, changed, code, has, row_of, runs_of
from loralab.profiles import Profile

ADAPTER, HEAD = 12 * 2 * 16 * (768 + 768), 768 * 768 + 768 + 2 * 768 + 2
TEXTS = ("a dull film", "the best film of the year")


def roberta_adapter(matrix: Any, block: Any, adapter: Any, counted: Any) -> Found:
    """Parameters of LoRA, r = 16 on query and value, in RoBERTa-base: one matrix's, a block's, all by hand, by peft."""
    one = ADAPTER // 24
    if agree(matrix, one / 2, 0):
        return "half_matrix"
    if agree(matrix, one, 0) and agree(block, one, 0):
        return "one_matrix"
    if agree(matrix, one, 0) and agree(block, 2 * one, 0):
        if agree(adapter, ADAPTER / 2, 0):
            return "six_blocks"
        if agree(adapter, ADAPTER + HEAD, 0) or agree(counted, ADAPTER + HEAD, 0):
            return "head"
        if agree(adapter, ADAPTER, 0) and agree(counted, ADAPTER, 0):
            return None
    return OTHER


def another_model(profile: Profile, models: Sequence[str], adapters: Any, results: Any) -> Found:
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
        if agree(adapters[model], parameters["trainable"], 0):
            return "head"
        if agree(adapters[model], 0):
            return "names"
        if not agree(adapters[model], parameters["adapter"], 0):
            return OTHER
    return None


def pair_encoding(encode_pair: Callable[..., Any]) -> Found:
    """A function (tokenizer, first, second) → ids, tried with a tokenizer like BERT's and one like RoBERTa's."""
    mistakes: dict[str | None, Callable[..., Any]] = {
        None: lambda tokenizer, a, b: tokenizer(a, b),
        "joined": lambda tokenizer, a, b: tokenizer(f"{a} {b}"),
        "lost": lambda tokenizer, a, b: tokenizer(a),
        "typed": lambda tokenizer, a, b: tokenizer(f"{a} [SEP] {b}"),
        "typed_own": lambda tokenizer, a, b: tokenizer(f"{a} {tokenizer.sep_token} {b}"),
        "twice": lambda tokenizer, a, b: [*tokenizer(a)["input_ids"], *tokenizer(b)["input_ids"]],
        "batch": lambda tokenizer, a, b: tokenizer([a, b]),
    }
    tokenizers = small_tokenizers()
    found = [_ids(encode_pair(tokenizer, *TEXTS)) for tokenizer in tokenizers]
    for hint, known in mistakes.items():
        if found == [_ids(known(tokenizer, *TEXTS)) for tokenizer in tokenizers]:
            return "typed" if hint == "typed_own" else hint
    return OTHER


def _ids(answer: Any) -> Any:
    """An answer's ids as a list: of a tokenizer's whole output, of a tensor, or of a batch of one row."""
    ids = tried(answer)["input_ids"] if hasattr(answer, "keys") else tried(answer)
    rows = ids.tolist() if hasattr(ids, "tolist") else ids
    return rows[0] if isinstance(rows, list) and len(rows) == 1 else rows


def small_tokenizers() -> list[PreTrainedTokenizerFast]:
    """Two with a small vocabulary: one sets pairs apart as BERT does, the other as RoBERTa does."""
    templates = {
        ("[CLS]", "[SEP]"): ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        ("<s>", "</s>"): ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    }
    made = []
    for (start, end), (single, pair) in templates.items():
        words = [start, end, "<unk>", "<pad>", *sorted({word for text in TEXTS for word in text.split()})]
        numbers = {word: number for number, word in enumerate(words)}
        tokenizer = Tokenizer(WordLevel(numbers, unk_token="<unk>"))
        tokenizer.pre_tokenizer = Whitespace()
        special = [(word, numbers[word]) for word in (start, end)]
        tokenizer.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=special)
        names = {"cls_token": start, "sep_token": end, "unk_token": "<unk>", "pad_token": "<pad>"}
        made.append(PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names))
    return made


def glue_study(profile: Profile, sizes: Mapping[str, int], datasets: Sequence[str], results: Any, table: Any) -> Found:
    """LoRA and the majority class on several data sets: results, and (metric, LoRA's score, the majority's) by name."""
    if not datasets or not has(results, datasets) or not has(table, datasets):
        return OTHER
    named: dict[str, tuple[Any, Any]] = {}
    for dataset in datasets:
        runs, row = runs_of(results[dataset]), row_of(table[dataset])
        by_method = {run.experiment.method: run for run in runs}
        if "lora" not in by_method or not row:
            return OTHER
        if "majority" not in by_method or len(row) < 3:
            return "majority"
        if any(changed(run, profile.experiment(name, dataset=dataset, **sizes)) for name, run in by_method.items()):
            return "recipe"
        named[dataset] = (by_method["lora"], by_method["majority"])
    metrics = {dataset: metric_of(dataset) for dataset in datasets}
    given = {dataset: row_of(table[dataset]) for dataset in datasets}

    def all_are(scores: Callable[[str, Any, Any], tuple[float, float]]) -> bool:
        return all(agree(given[name][1:3], scores(metrics[name], *named[name]), 0.0, 0.001) for name in datasets)

    if all_are(lambda metric, lora, most: (lora.test[metric], most.test[metric])):
        return None if all(code(given[name][0]) == metrics[name] for name in datasets) else OTHER
    if all_are(lambda metric, lora, most: (lora.test["accuracy"], most.test["accuracy"])):
        return "accuracy"
    if all_are(lambda metric, lora, most: (lora.epochs[-1][metric], most.test[metric])):
        return "validation"
    if all_are(lambda metric, lora, most: (lora.test[metric], 0.5)):
        return "half"
    return OTHER


EXERCISES: dict[str, Examine] = {
    "first_loss_three": number_is(
        math.log(3),
        {"probability": 1 / 3, "base2": math.log2(3), "base10": math.log10(3), "two_classes": math.log(2)},
        tolerance=0.03,
    ),
    "roberta_adapter": roberta_adapter,
    "another_model": another_model,
    "pair_encoding": pair_encoding,
    "glue_study": glue_study,
}
