"""What ails a PEFT adapter, as far as its files show it. No model is loaded, and no base is needed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from loralab.messages import message, number

HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")  # OWNER/NAME, or one of the first models' names
HEADS = ("classifier", "score")
USUAL_SCALE = (0.1, 10)  # people use 1 and 2; a tenth or ten times as much is a slip more often than a choice


class Ailment(NamedTuple):
    """Something wrong: its name, what is found, and what to do."""

    name: str
    found: str
    remedy: str


def examine(folder: Path) -> list[Ailment]:
    """The ailments that an adapter's folder shows. That none does is not to say that the adapter is good.

    Raises ValueError, naming the file, if its configuration or its weights are not there or cannot be read.
    """
    path = folder / "adapter_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        path = folder / "adapter_model.safetensors"
        weights = load_file(path)
    except FileNotFoundError as error:
        raise ValueError(message("clinic_no_adapter", folder=folder, file=path.name)) from error
    except (SafetensorError, ValueError) as error:
        raise ValueError(message("clinic_unreadable", file=path.name, error=error)) from error
    looks = (_base(config), _numbers(weights), _head(config, weights), _rank(config, weights), _end(config, folder))
    return [ailment for look in looks for ailment in look]


def _base(config: dict[str, Any]) -> Iterator[Ailment]:
    name = config.get("base_model_name_or_path") or ""
    if not HUB_ID.fullmatch(name):
        found = message("clinic_base_path", name=PureWindowsPath(name).name) if name else message("clinic_base_unknown")
        yield Ailment("base", found, message("clinic_base_remedy"))


def _numbers(weights: dict[str, torch.Tensor]) -> Iterator[Ailment]:
    if bad := [name for name, values in weights.items() if not values.isfinite().all()]:
        found = message("clinic_not_finite", count=len(bad), all=len(weights))
        yield Ailment("not_finite", found, message("clinic_not_finite_remedy"))
    b = [values for name, values in weights.items() if "lora_B" in name or "lora_embedding_B" in name]
    if zero := sum(not values.any() for values in b):
        found = message("clinic_untrained", count=zero, all=len(b))
        yield Ailment("untrained", found, message("clinic_untrained_remedy"))


def _head(config: dict[str, Any], weights: dict[str, torch.Tensor]) -> Iterator[Ailment]:
    # peft names the base's class where it was told no task.
    kind = config.get("task_type") or (config.get("auto_mapping") or {}).get("base_model_class", "")
    sorts = "CLS" in kind or "Classification" in kind
    kept = [name for name in weights if "lora_" not in name]  # the head itself, not an adapter on it
    if sorts and not any(part in HEADS for name in kept for part in name.split(".")):
        yield Ailment("head", message("clinic_head", kind=kind), message("clinic_head_remedy"))


def _rank(config: dict[str, Any], weights: dict[str, torch.Tensor]) -> Iterator[Ailment]:
    ranks = {values.shape[0] for name, values in weights.items() if "lora_A" in name}
    said = {config.get("r"), *(config.get("rank_pattern") or {}).values()}
    if not ranks:
        return
    if not ranks <= said:
        given, expected = (", ".join(map(str, sorted(each))) for each in (ranks, said))
        yield Ailment("rank", message("clinic_rank", given=given, expected=expected), message("clinic_rank_remedy"))
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    if not USUAL_SCALE[0] <= scale <= USUAL_SCALE[1]:
        found = message("clinic_scale", alpha=number(config["lora_alpha"], 0), r=config["r"], scale=number(scale, 2))
        yield Ailment("scale", found, message("clinic_scale_remedy"))


def _end(config: dict[str, Any], folder: Path) -> Iterator[Ailment]:
    path, template = folder / "tokenizer_config.json", folder / "chat_template.jinja"
    told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = template.read_text(encoding="utf-8") if template.exists() else str(told.get("chat_template") or "")
    end = told.get("eos_token") or ""
    end = end if isinstance(end, str) else end["content"]
    if text and config.get("task_type") == "CAUSAL_LM" and end not in text and "eos_token" not in text:
        yield Ailment("end", message("clinic_end", token=end), message("clinic_end_remedy"))


def clinic(folder: Path, as_json: bool = False) -> int:
    """Print what `examine` finds, a line each; 1 if there is something, else 0. Raises what `examine` raises."""
    found = examine(folder)
    if as_json:
        print(json.dumps([ailment._asdict() for ailment in found], ensure_ascii=False, indent=1))
    else:
        print("\n".join(f"{name}: {what} {remedy}" for name, what, remedy in found) or message("clinic_sound"))
    return int(bool(found))
