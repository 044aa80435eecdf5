"""Checks that a table of known answers cannot make, and what probes are made of; see loralab.lessons.catalogue."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import PreTrainedTokenizerFast

from loralab.lessons.answers import OTHER, Mistake, code
from loralab.profiles import load_profile
from loralab.train.models import empty_model

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")

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


@lru_cache
def gemma_modules() -> dict[str, nn.Module]:
    """The modules of the profile large's language model by name, without weights."""
    experiment = load_profile("large").generation.experiment("lora")
    return {name: module for name, module in empty_model(experiment).named_modules() if name}


def gemma_pattern(answer: Any) -> Mistake:
    """The modules that peft would take for it are looked at, not the pattern."""
    if not isinstance(answer, str | list | tuple | set):
        return OTHER
    modules = gemma_modules()
    linear = {name for name, module in modules.items() if isinstance(module, nn.Linear)}
    config = LoraConfig(target_modules=answer if isinstance(answer, str) else list(answer))
    adapted = {name for name in modules if check_target_module_exists(config, name)}
    if answer == "all-linear":
        adapted = linear
    wanted = {name for name in linear if "language_model" in name and name.endswith(ATTENTION)}
    in_vision = [name for name in adapted if "vision_tower" in name]
    if in_vision:
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
    templates = {
        ("[CLS]", "[SEP]"): ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        ("<s>", "</s>"): ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    }
    made = []
    for (start, end), (single, pair) in templates.items():
        words = [start, end, "<unk>", "<pad>", *sorted({word for text in texts for word in text.split()})]
        numbers = {word: number for number, word in enumerate(words)}
        tokenizer = Tokenizer(WordLevel(numbers, unk_token="<unk>"))
        tokenizer.pre_tokenizer = Whitespace()
        special = [(word, numbers[word]) for word in (start, end)]
        tokenizer.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=special)
        names = {"cls_token": start, "sep_token": end, "unk_token": "<unk>", "pad_token": "<pad>"}
        made.append(PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names))
    return made


def four_verdicts(judge: Callable[..., Any]) -> Mistake:
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
