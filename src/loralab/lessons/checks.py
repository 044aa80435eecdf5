"""Checks that a table of known answers cannot make, and what probes are made of; see loralab.lessons.catalogue."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import BertProcessing, RobertaProcessing
from torch import nn
from transformers import PreTrainedTokenizerFast

from loralab.lessons.answers import OTHER, Mistake, code
from loralab.profiles import load_profile
from loralab.train.models import empty_model

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")

# Arguments of the ruler's verdict in points, the right verdict, and a mistake with the wrong one that it gives.
RULERS: list[tuple[tuple[float, ...], str, str | None, str | None]] = [
    ((-1.5, 1.7, -1.8, 2.0, 1.0), "cannot_tell", "zero", "equivalent"),
    ((-0.5, 1.5, -0.7, 1.7, 1.0), "cannot_tell", "one_side", "equivalent"),
    ((-1.5, 0.5, -1.7, 0.7, 1.0), "cannot_tell", "one_side", "equivalent"),
    ((0.1, 1.5, -0.1, 1.7, 1.0), "cannot_tell", "thick_and_zero", "different"),
    ((0.05, 0.5, -0.05, 0.6, 1.0), "equivalent", "thick_and_zero", "negligible"),
    ((0.2, 0.6, 0.1, 0.7, 1.0), "negligible", "both", "equivalent"),
    ((-0.6, -0.2, -0.7, -0.1, 1.0), "negligible", "both", "different"),
    ((-0.9, 0.6, -1.1, 0.8, 1.0), "equivalent", "thin_and_margin", "cannot_tell"),
    ((0.2, 0.9, 0.1, 1.1, 1.0), "negligible", "thin_and_margin", "different"),
    ((-0.4, 0.4, -0.5, 0.5, 1.0), "equivalent", None, None),
    ((-0.4, 0.4, -0.5, 0.5, 0.3), "cannot_tell", None, None),
    ((1.5, 2.5, 1.4, 2.6, 1.0), "different", None, None),
    ((-2.5, -1.5, -2.6, -1.4, 1.0), "different", None, None),
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
    answers = [code(judge(*ruler)) for ruler, *_ in RULERS]
    if answers == [right for _, right, *_ in RULERS]:
        return None
    if len(set(answers)) == 1:  # it does not look at the bars
        return OTHER
    return next((hint for answer, (*_, hint, wrong) in zip(answers, RULERS, strict=True) if answer == wrong), OTHER)
