"""The exercises of lesson 3."""

from functools import lru_cache
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from torch import Tensor, nn

from loralab.lessons.exercises import OTHER, Examine, Found, function_is, number_is, same, tried
from loralab.profiles import load_profile
from loralab.train.models import empty_model

ALPHA = 32.0
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def layer(d_in: int, d_out: int, rank: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """W, A, B and alpha, with whole numbers in the matrices: any order of operations gives the same."""
    numbers = torch.Generator().manual_seed(d_in + d_out)
    shapes = ((d_out, d_in), (rank, d_in), (d_out, rank))
    w, a, b = (torch.randint(-4, 5, shape, generator=numbers).float() for shape in shapes)
    return w, a, b, ALPHA


def merged(w: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """W + (alpha/r)·BA."""
    return w + alpha / len(a) * b @ a


def merge(answer: Any) -> Found:
    """First on a square layer: on any other, a transposed update does not fit and torch raises."""
    w, a, b, alpha = layer(16, 16, 8)
    if same(tried(answer(*layer(16, 16, 8))), w + alpha / len(a) * (b @ a).T):
        return "transposed"
    return function_is(
        merged,
        {
            "no_rank": lambda w, a, b, alpha: w + alpha * b @ a,
            "no_scale": lambda w, a, b, alpha: w + b @ a,
            "inverted": lambda w, a, b, alpha: w + len(a) / alpha * b @ a,
            "wrong_rank": lambda w, a, b, alpha: w + alpha / a.shape[1] * b @ a,
            "twice": lambda w, a, b, alpha: w + 2 * alpha / len(a) * b @ a,
            "update": lambda w, a, b, alpha: alpha / len(a) * b @ a,
        },
        [layer(16, 16, 8), layer(384, 1536, 8), layer(48, 12, 4)],
    )(answer)


@lru_cache
def gemma_modules() -> dict[str, nn.Module]:
    """The modules of the profile large's language model by name, without weights."""
    experiment = load_profile("large").generation.experiment("lora")
    return {name: module for name, module in empty_model(experiment).named_modules() if name}


def gemma_pattern(answer: Any) -> Found:
    """The modules that peft would take for it are looked at, not the pattern."""
    if not isinstance(answer, str | list | tuple | set):
        return OTHER
    modules = gemma_modules()
    linear = {name for name, module in modules.items() if isinstance(module, nn.Linear)}
    config = LoraConfig(target_modules=answer if isinstance(answer, str) else list(answer))
    found = {name for name in modules if check_target_module_exists(config, name)}
    if answer == "all-linear":
        found = linear
    wanted = {name for name in linear if "language_model" in name and name.endswith(ATTENTION)}
    in_vision = [name for name in found if "vision_tower" in name]
    if in_vision:
        return "vision", {"found": len(found), "vision": len(in_vision)}
    if not found <= linear:
        return "not_linear", {"name": min(found - linear)}
    if found == wanted:
        return None
    if found > wanted:
        return "too_many", {"found": len(found)}
    if not found:
        return "none"
    return ("some", {"found": len(found)}) if found < wanted else OTHER


EXERCISES: dict[str, Examine] = {
    "adapter_size": number_is(
        16 * (384 + 384) * 3 * 6,
        {
            "half": 16 * 384 * 3 * 6,
            "one_block": 16 * (384 + 384) * 3,
            "one_layer": 16 * (384 + 384),
            "no_key": 16 * (384 + 384) * 2 * 6,
            "head": 16 * (384 + 384) * 3 * 6 + 384 * 2 + 2,
            "whole": 384 * 384 * 3 * 6,
        },
        tolerance=1e-6,
    ),
    "merge": merge,
    "gemma_pattern": gemma_pattern,
}
