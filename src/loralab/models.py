"""A base model, the method put on it, and what can be done with a trained adapter."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
    prepare_model_for_kbit_training,
)
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from loralab.assets import asset, fetch
from loralab.experiment import LORA_METHODS, PEFT_METHODS, Experiment
from loralab.files import CLASSES
from loralab.hub import download_model
from loralab.messages import message
from loralab.tokenization import encode

ADAPTER, HEAD, WEIGHTS = "adapter", "head.safetensors", "model.safetensors"
# Full fine-tuning leaves a whole model. Lessons load it again, so it is kept; above this many bytes it is not.
KEPT_BYTES = 2**29

DECODER_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

# Encoders: the attention's query and value, as in the paper (Hu et al. 2021, section 7.1), by each architecture's
# names. Decoders: all seven projections, as is usual for them. Gemma 3 also sees: its vision tower has modules of the
# same names, so for it a pattern that peft matches with whole names.
DEFAULT_MODULES: dict[str, tuple[str, ...] | str] = {
    "bert": ("query", "value"),
    "roberta": ("query", "value"),
    "distilbert": ("q_lin", "v_lin"),
    "llama": DECODER_MODULES,
    "qwen2": DECODER_MODULES,
    "qwen3": DECODER_MODULES,
    "gemma3_text": DECODER_MODULES,
    "gemma3": rf".*language_model.*\.({'|'.join(DECODER_MODULES)})",
}
# IA3 scales the attention's keys and values and what the feed-forward block hands to its last layer (Liu et al. 2022,
# section 3.3): for each architecture the modules of both, as patterns.
IA3_MODULES = {
    "bert": (r".*\.(key|value)", r".*layer\.\d+\.output\.dense"),
    "roberta": (r".*\.(key|value)", r".*layer\.\d+\.output\.dense"),
    "distilbert": (r".*\.(k_lin|v_lin)", r".*\.ffn\.lin2"),
    "gemma3": (r".*language_model.*\.(k_proj|v_proj)", r".*language_model.*\.down_proj"),
    **dict.fromkeys(("llama", "qwen2", "qwen3", "gemma3_text"), (r".*\.(k_proj|v_proj)", r".*\.down_proj")),
}
# Names of parameters that peft adds.
ADDED = ("lora_", "ia3_", "prompt_encoder")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "nf4": torch.float32}


@lru_cache(maxsize=8)
def locate(name: str) -> Path:
    """The folder with a model's files, fetched if need be.

    Raises ValueError for an unknown name, AssetError if the model cannot be had.
    """
    row = asset("model", name)
    if "package" in row:
        return fetch(row)
    return download_model(row)


@lru_cache(maxsize=8)
def weights_fingerprint(name: str) -> str:
    """What tells one pretrained model from another: a hash of its weights, configuration and tokenizer files."""
    digest = hashlib.sha256()
    for path in sorted(
        path for path in locate(name).iterdir() if path.suffix in (".safetensors", ".json", ".jinja", ".txt")
    ):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def load_tokenizer(name: str) -> Any:
    """The model's own tokenizer."""
    return AutoTokenizer.from_pretrained(locate(name))


def load_base(name: str, seed: int) -> nn.Module:
    """The pretrained encoder in fp32 with a fresh head of two classes; the seed decides the head's values.

    Raises what `locate` raises.
    """
    set_seed(seed)
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # the report on the missing head is expected: we want a fresh one
    try:
        return AutoModelForSequenceClassification.from_pretrained(locate(name), num_labels=CLASSES, dtype=torch.float32)
    finally:
        transformers_logging.set_verbosity(level)


def load_language_model(name: str, weights: str = "fp32") -> nn.Module:
    """The pretrained language model: its weights in "fp32", "bf16", or "nf4" (4 bits each, on a CUDA GPU; QLoRA).

    Raises what `locate` raises.
    """
    options: dict[str, Any] = {"dtype": DTYPES[weights]}
    if weights == "nf4":
        # Dettmers et al. 2023 (arXiv 2305.14314), section 3. In fp32: Gemma overflows in fp16, and a T4 has no bf16.
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
        options["device_map"] = {"": torch.cuda.current_device()}
    return AutoModelForCausalLM.from_pretrained(locate(name), **options)


def load_for(experiment: Experiment) -> nn.Module:
    """The base that an experiment starts from: an encoder with a fresh head, or a language model."""
    if experiment.task == "classification":
        return load_base(experiment.model, experiment.seed)
    return load_language_model(experiment.model, experiment.weights)


def empty_model(name: str) -> nn.Module:
    """A model as its configuration has it, on torch's meta device: shapes, and no weights.

    From the configuration in data/assets.toml if there is one, so that a gated model can be counted before there is
    access; else from the model's own. Raises what `locate` raises.
    """
    written = dict(asset("model", name).get("config", {}))
    config = AutoConfig.for_model(**written) if written else AutoConfig.from_pretrained(locate(name))
    kind = AutoModelForImageTextToText if config.model_type == "gemma3" else AutoModelForCausalLM
    with torch.device("meta"):
        return kind.from_config(config)


def apply_method(model: nn.Module, experiment: Experiment) -> nn.Module:
    """The model with just those parameters trainable that the method trains.

    "full" trains all, "head" the classification head, and any other what peft adds, with the head where there is one
    (a PeftModel comes back; its adapter's values are the experiment's seed's). Raises ValueError, naming the modules
    there are, if `target_modules` fit none, and what `adapter_config` raises.
    """
    if experiment.method in PEFT_METHODS:
        classifies = experiment.task == "classification"
        if experiment.weights == "nf4":
            model = prepare_model_for_kbit_training(model, experiment.activation_checkpointing)
        if not classifies:  # a classifier's seed was set when its head was made
            set_seed(experiment.seed)
        return get_peft_model(model, adapter_config(model, experiment))
    if experiment.method == "head":
        model.requires_grad_(False)
        for _, parameter in head_parameters(model):
            parameter.requires_grad_(True)
    return model


def adapter_config(model: nn.Module, experiment: Experiment) -> PeftConfig:
    """The experiment's method in peft's words.

    Raises ValueError for IA3 on an architecture whose modules are not known, and for prompt or prefix tuning of a
    classifier whose head peft would leave out: it trains none but `classifier` or `score` there.
    """
    classifies = experiment.task == "classification"
    kind = TaskType.SEQ_CLS if classifies else TaskType.CAUSAL_LM
    head = head_modules(model) if classifies else None
    if experiment.method in LORA_METHODS:
        return LoraConfig(
            task_type=kind,
            r=experiment.rank,
            lora_alpha=experiment.alpha,
            lora_dropout=experiment.dropout,
            target_modules=target_modules(model, experiment.target_modules),
            modules_to_save=head,
            use_rslora=experiment.method == "rslora",
            use_dora=experiment.method == "dora",
            init_lora_weights="pissa" if experiment.method == "pissa" else True,
        )
    if experiment.method == "ia3":
        architecture = model.config.model_type
        if architecture not in IA3_MODULES:
            raise ValueError(message("unknown", what="ia3", given=architecture, choices=", ".join(IA3_MODULES)))
        attention, feed_forward = IA3_MODULES[architecture]
        return IA3Config(
            task_type=kind,
            target_modules=f"{attention}|{feed_forward}",
            feedforward_modules=feed_forward,
            modules_to_save=head,
        )
    if head and not set(head) <= {"classifier", "score"}:
        raise ValueError(message("head_not_trained", method=experiment.method, head=", ".join(head)))
    config = PromptTuningConfig if experiment.method == "prompt" else PrefixTuningConfig
    return config(task_type=kind, num_virtual_tokens=experiment.virtual_tokens)


def linear_names(model: nn.Module) -> dict[str, list[nn.Linear]]:
    """The encoder's linear layers by the last part of their name, the head's left out."""
    prefix = model.base_model_prefix + "."
    found: dict[str, list[nn.Linear]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.startswith(prefix):
            found.setdefault(name.rsplit(".", 1)[-1], []).append(module)
    return found


def target_modules(model: nn.Module, wanted: str | Sequence[str]) -> str | list[str]:
    """Module names for LoRA: `wanted` itself, or the architecture's own for "default" ("all-linear" is peft's).

    A name is the end of a module's path, as peft takes it: "query", or "attention.output.dense" where "dense" is many.

    Raises ValueError, naming the linear modules there are, if a name fits none or the architecture is not known.
    """
    if wanted == "all-linear":
        return "all-linear"
    there = linear_names(model)
    if wanted == "default":
        kind = model.config.model_type
        if kind not in DEFAULT_MODULES:
            raise ValueError(message("architecture_unknown", given=kind, choices=", ".join(there)))
        known = DEFAULT_MODULES[kind]
        return known if isinstance(known, str) else list(known)
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    prefix = model.base_model_prefix + "."
    paths = [
        path for path, module in model.named_modules() if isinstance(module, nn.Linear) and path.startswith(prefix)
    ]
    for name in names:
        if not any(path.endswith(f".{name}") for path in paths):
            raise ValueError(message("module_unknown", given=name, choices=", ".join(there)))
    return names


def head_modules(model: nn.Module) -> list[str]:
    """Names of the modules outside the pretrained encoder that have parameters: the head's."""
    encoder = model.base_model_prefix
    return [name for name, child in model.named_children() if name != encoder and list(child.parameters())]


def head_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters of the classification head: all outside the pretrained encoder. A language model has none.

    In a PeftModel that is the trainable copy, not the original one that peft keeps beside it.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if base.get_output_embeddings() is not None:
        return []
    prefix = base.base_model_prefix + "."
    return [
        (name, parameter)
        for name, parameter in base.named_parameters()
        if not name.startswith(prefix) and ".original_module." not in name
    ]


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Numbers of parameters: `adapter` and `head` apart, `trainable`, and `total` as the model would be used.

    Shared ones (a language model's input and output embeddings) count once.
    """
    head = sum(parameter.numel() for _, parameter in head_parameters(model))
    adapter = sum(p.numel() for name, p in model.named_parameters() if any(part in name for part in ADDED))
    spare = sum(p.numel() for name, p in model.named_parameters() if ".original_module." in name)
    return {
        "adapter": adapter,
        "head": head,
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "total": sum(map(_weights_in, model.parameters())) - spare,
    }


def _weights_in(parameter: nn.Parameter) -> int:
    # bitsandbytes packs two 4-bit weights into an element.
    return parameter.numel() * (2 if type(parameter).__name__ == "Params4bit" else 1)


def lora_parameters(layers: Sequence[nn.Linear], rank: int) -> int:
    """r(d_in + d_out) summed over the layers: A is r × d_in, B is d_out × r (Hu et al. 2021, section 4.1)."""
    return sum(rank * (layer.in_features + layer.out_features) for layer in layers)


def save_trained(model: nn.Module, experiment: Experiment, folder: Path) -> None:
    """Write what was trained: an adapter with its head in peft's format, a head alone, or all weights up to 512 MiB."""
    if experiment.method in PEFT_METHODS:
        model.save_pretrained(str(folder / ADAPTER))
    elif experiment.method == "full" and sum(p.numel() * p.element_size() for p in model.parameters()) <= KEPT_BYTES:
        save_model(model, str(folder / WEIGHTS))
    elif experiment.method == "head":
        save_file({name: parameter.detach() for name, parameter in head_parameters(model)}, folder / HEAD)


def load_trained(experiment: Experiment, folder: Path) -> nn.Module:
    """The experiment's base with what `save_trained` kept put on it, ready to use.

    Raises FileNotFoundError if nothing was kept.
    """
    base = load_for(experiment)
    if (folder / ADAPTER).is_dir():
        base = PeftModel.from_pretrained(base, str(folder / ADAPTER))
    elif (folder / HEAD).exists():
        base.load_state_dict(load_file(folder / HEAD), strict=False)
    elif (folder / WEIGHTS).exists():
        load_model(base, str(folder / WEIGHTS))
    else:
        raise FileNotFoundError(message("nothing_saved", folder=folder.name))
    return base.eval()


def merge(model: PeftModel) -> nn.Module:
    """A plain model whose weights are W + (alpha/r)·BA: the adapter is in, and no module is left of it.

    4-bit weights are rounded to 4 bits again.
    """
    return model.merge_and_unload(safe_merge=True)


@torch.no_grad()
def predict_texts(
    model: nn.Module, tokenizer: Any, texts: Sequence[str], max_length: int | None = None
) -> torch.Tensor:
    """The logits (texts × classes) of a few texts, in one padded batch; texts are cut at `max_length` tokens.

    Raises ValueError, naming the text's position, if one is empty, or longer than the model takes and not to be cut.
    """
    encoded = encode(pd.DataFrame({"text": list(texts), "label": 0}), tokenizer, max_length)
    rows = encoded.dataset.remove_columns("labels")
    batch = tokenizer.pad(list(rows), return_tensors="pt").to(model.device)
    return model.eval()(**batch).logits
