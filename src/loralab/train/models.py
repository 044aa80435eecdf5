"""A base model, the method put on it, and what can be done with a trained adapter."""

import hashlib
import json
import tomllib
import warnings
from collections.abc import Iterable, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from huggingface_hub import ModelCard
from huggingface_hub.errors import StrictDataclassError
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFT_MODULES
from safetensors.torch import load_file, save_file
from torch import nn

from loralab.data.assets import assets
from loralab.data.hub import CONFIGURATION, WORDS, locate, locate_part, model_row, on_the_hub
from loralab.data.own import label_names
from loralab.experiment import LORA_METHODS, PEFT_METHODS, Experiment
from loralab.messages import message, one_of

ADAPTER, KEPT = "adapter", {"head": "head.safetensors", "full": "model.safetensors"}
# Full fine-tuning leaves a whole model. Lessons load it again, so it is kept; above this many bytes it is not.
KEPT_BYTES = 2**29
MODULES = tomllib.loads(Path(__file__).with_name("modules.toml").read_text(encoding="utf-8"))
# Names of parameters that peft adds.
ADDED = ("lora_", "ia3_", "prompt_encoder")
# transformers renamed it; the lowest version that the course allows has the old name alone.
RENAMED = hasattr(transformers.TrainingArguments, "activation_checkpointing")
CHECKPOINTING = "activation_checkpointing" if RENAMED else "gradient_checkpointing"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "nf4": torch.float32}


@lru_cache(maxsize=8)
def weights_fingerprint(name: str) -> str:
    """What tells one pretrained model from another: a hash of its weights, configuration and tokenizer files."""
    digest, kinds = hashlib.sha256(), (".safetensors", ".json", ".jinja", ".txt")
    for path in sorted(path for path in locate(name).iterdir() if path.suffix in kinds):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def load_tokenizer(name: str) -> Any:
    """The model's own tokenizer; a language model's that has none gets a plain chat template, and padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(locate_part(name, WORDS), trust_remote_code=False)
    if tokenizer.model_max_length > 10**6:  # it does not say
        config = configuration(name).get_text_config()
        tokenizer.model_max_length = getattr(config, "max_position_embeddings", tokenizer.model_max_length)
    if tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        tokenizer.chat_template = tokenizer.chat_template or MODULES["template"]["plain"]
    return tokenizer


shared_tokenizer = lru_cache(maxsize=2)(load_tokenizer)  # for what leaves it as it is: to load one takes half a second


def load_base(name: str, seed: int, classes: int = 2) -> nn.Module:
    """The pretrained encoder in fp32 with a fresh head; the seed decides what is not in the checkpoint.

    Raises what `locate` raises.
    """
    transformers.set_seed(seed)
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # the report on the missing head is expected: we want a fresh one
    kind = transformers.AutoModelForSequenceClassification
    try:
        model, told = kind.from_pretrained(
            locate(name), num_labels=classes, dtype=torch.float32, output_loading_info=True, use_safetensors=True,
            trust_remote_code=False, ignore_mismatched_sizes=True,
        )  # fmt: skip
    finally:
        transformers.logging.set_verbosity(level)
    if model.config.pad_token_id is None:  # a decoder judges a text by its last token that is none
        model.config.pad_token_id = load_tokenizer(name).pad_token_id
    for head, parameter in head_parameters(model):
        if head not in told["missing_keys"]:  # of a base that is a classifier already
            nn.init.normal_(parameter, std=0.02)
    return with_fresh(model, name, [key.rpartition(".")[0] for key in told["missing_keys"]])


def with_fresh(model: nn.Module, name: str, missing: Iterable[str] = ()) -> nn.Module:
    """The model, whose configuration now names what of its encoder nobody trained: that, beside the head, is fresh."""
    inside = model.base_model_prefix + "."
    absent = [module for module in dict.fromkeys(missing) if module.startswith(inside)]
    model.config.fresh_modules = [*assets("model").get(name, {}).get("fresh", ()), *absent]
    return model


def load_language_model(name: str, weights: str = "fp32") -> nn.Module:
    """The pretrained language model: its weights in "fp32", "bf16", or "nf4" (4 bits each, on a CUDA GPU; QLoRA).

    Raises what `locate` raises.
    """
    options: dict[str, Any] = {"dtype": DTYPES[weights], "use_safetensors": True, "trust_remote_code": False}
    if weights == "nf4":
        # Dettmers et al. 2023 (arXiv 2305.14314), section 3. In fp32: Gemma overflows in fp16, and a T4 has no bf16.
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
        options["device_map"] = {"": torch.cuda.current_device()}
    model = transformers.AutoModelForCausalLM.from_pretrained(locate(name), **options)
    # A head that is the embedding is saved once; Trainer, resuming, would warn that it is missing.
    model._keys_to_ignore_on_save = set(model.all_tied_weights_keys)
    return model


def load_for(experiment: Experiment) -> nn.Module:
    """The base that an experiment starts from: an encoder with a fresh head, or a language model."""
    if experiment.task == "classification":
        return load_base(experiment.model, experiment.seed, len(label_names(experiment.dataset)))
    return load_language_model(experiment.model, experiment.weights)


def configuration(model: str) -> Any:
    """A model's configuration: what data/assets.toml has of it, its own file, or a hub's config.json at that path.

    What stands in assets.toml is there so that a gated model can be counted before there is access. Raises what
    `locate` raises, and ValueError for a file that is no configuration of a model that transformers knows.
    """
    if model.endswith(".json"):
        try:
            return transformers.AutoConfig.for_model(**json.loads(Path(model).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, StrictDataclassError) as error:
            raise ValueError(message("no_configuration", path=Path(model).name, error=error)) from error
    if written := model_row(model).get("config"):
        return transformers.AutoConfig.for_model(**written)
    return transformers.AutoConfig.from_pretrained(locate_part(model, CONFIGURATION), trust_remote_code=False)


def untrained_model(experiment: Experiment) -> nn.Module:
    """What `load_for` loads, from its configuration: in the experiment's type (4 bits: fp32), its values at random.

    Raises what `configuration` raises.
    """
    config = configuration(experiment.model)
    kind: Any = transformers.AutoModelForCausalLM
    if experiment.task == "classification":
        kind, config.num_labels = transformers.AutoModelForSequenceClassification, len(label_names(experiment.dataset))
    elif config.model_type == "gemma3":
        kind = transformers.AutoModelForImageTextToText
    dtype = DTYPES[experiment.weights if "weights" in experiment.reads else "fp32"]
    return with_fresh(kind.from_config(config, dtype=dtype), experiment.model)


def empty_model(experiment: Experiment) -> nn.Module:
    """`untrained_model` on torch's meta device: shapes, and no values at all."""
    with torch.device("meta"):
        return untrained_model(experiment)


def sees(name: str) -> bool:
    """Whether a parameter is of the part that sees images, which gets no gradient from text."""
    return "vision_tower" in name or "multi_modal_projector" in name


@lru_cache(maxsize=64)
def least_bytes(experiment: Experiment) -> int:
    """What weights, gradients and AdamW's two averages take (bytes), whatever the batch: 4P + 12t in fp32.

    Of P parameters in all and t that get a gradient, counted on shapes; a 4-bit weight is half a byte. Raises what
    `empty_model` and `apply_method` raise.
    """
    # PiSSA, which would take the weights apart, is LoRA from another start.
    like = experiment.but(method="lora") if experiment.method == "pissa" else experiment
    with torch.device("meta"):
        there = dict(apply_method(empty_model(like), like).named_parameters())
    each = (p.element_size() if p.requires_grad or experiment.weights != "nf4" else 0.5 for p in there.values())
    weights = sum(size * p.numel() for size, p in zip(each, there.values(), strict=True))
    return int(weights) + 12 * sum(p.numel() for name, p in there.items() if p.requires_grad and not sees(name))


def apply_method(model: nn.Module, experiment: Experiment) -> nn.Module:
    """The model with just those parameters trainable that the method trains.

    "full" trains all, "head" the classification head and what else is fresh, and any other what peft adds, with these
    where there are any (a PeftModel comes back; its adapter's values are the experiment's seed's). Raises ValueError,
    naming the modules there are, if `target_modules` fit none, and what `adapter_config` raises.
    """
    if experiment.method in PEFT_METHODS:
        if experiment.weights == "nf4":
            model = peft.prepare_model_for_kbit_training(model, experiment.activation_checkpointing)
        if experiment.task != "classification":  # a classifier's seed was set when its head was made
            transformers.set_seed(experiment.seed)
        return peft.get_peft_model(model, adapter_config(model, experiment))
    if experiment.method == "head":
        model.requires_grad_(False)
        for _, parameter in head_parameters(model):
            parameter.requires_grad_(True)
    return model


def adapter_config(model: nn.Module, experiment: Experiment) -> peft.PeftConfig:
    """The experiment's method in peft's words.

    Prompt and prefix tuning train `classifier` or `score` and nothing else that is fresh: so the published results were
    made, though peft's `modules_to_save` could do more. Raises ValueError for them where that is not the head, and for
    IA3 on an architecture whose modules are not known.
    """
    method, classifies = experiment.method, experiment.task == "classification"
    kind = peft.TaskType.SEQ_CLS if classifies else peft.TaskType.CAUSAL_LM
    head = head_modules(model) if classifies else None
    if method in LORA_METHODS:
        return peft.LoraConfig(
            task_type=kind, modules_to_save=head, target_modules=target_modules(model, experiment.target_modules),
            r=experiment.rank, lora_alpha=experiment.alpha, lora_dropout=experiment.dropout,
            use_rslora=method == "rslora", use_dora=method == "dora",
            init_lora_weights="pissa" if method == "pissa" else True,
        )  # fmt: skip
    if method == "ia3":
        architecture = model.config.model_type
        one_of("ia3", architecture, MODULES["ia3"])
        attention, last = MODULES["ia3"][architecture]
        both = f"{attention}|{last}"
        return peft.IA3Config(task_type=kind, modules_to_save=head, target_modules=both, feedforward_modules=last)
    if head and not {name for name in head if "." not in name} <= {"classifier", "score"}:
        raise ValueError(message("head_not_trained", method=method, head=", ".join(head)))
    config = peft.PromptTuningConfig if method == "prompt" else peft.PrefixTuningConfig
    return config(task_type=kind, num_virtual_tokens=experiment.virtual_tokens)


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The encoder's linear layers by their whole name, the head's left out."""
    head = {module for name in head_modules(model) for module in model.get_submodule(name).modules()}
    inside = model.base_model_prefix + "."
    found = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and layer not in head}
    return {name: layer for name, layer in found.items() if name.startswith(inside)}


def linear_names(model: nn.Module) -> dict[str, list[nn.Linear]]:
    """The encoder's linear layers by the last part of their name, the head's left out."""
    layers: dict[str, list[nn.Linear]] = {}
    for name, layer in linear_layers(model).items():
        layers.setdefault(name.rsplit(".", 1)[-1], []).append(layer)
    return layers


def target_modules(model: nn.Module, wanted: str | Sequence[str]) -> str | list[str]:
    """Module names for LoRA: `wanted` itself, or the architecture's own for "default" ("all-linear" is peft's).

    Those of an architecture that is not in modules.toml are peft's own; where it has none either, all linear ones,
    and it is said. A name is the end of a module's path, as peft takes it: "query", or "attention.output.dense" where
    "dense" is many. Raises ValueError, naming the linear modules there are, if a name fits none.
    """
    if wanted == "all-linear":
        return "all-linear"
    if wanted == "default":
        known = (PEFT_MODULES | MODULES["lora"]).get(model.config.model_type)
        if known is None:
            print(message("architecture_unknown", given=model.config.model_type))
            return "all-linear"
        return known if isinstance(known, str) else list(known)
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if not any(path.endswith(f".{name}") for path in linear_layers(model)):
            raise ValueError(message("module_unknown", given=name, choices=", ".join(linear_names(model))))
    return names


def head_modules(model: nn.Module) -> list[str]:
    """Names of the modules that `head_parameters` are of: "classifier", "bert.pooler"."""
    fresh = getattr(model.config, "fresh_modules", [])
    outside = dict.fromkeys(name.partition(".")[0] for name, _ in head_parameters(model))
    return [*(name for name in outside if name != model.base_model_prefix), *fresh]


def head_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters of the head: all that nobody trained before, in the encoder too. A language model has none.

    In a PeftModel that is the trainable copy, not the original one that peft keeps beside it.
    """
    base = model.get_base_model() if isinstance(model, peft.PeftModel) else model
    if base.get_output_embeddings() is not None:
        return []
    inside, fresh = base.base_model_prefix + ".", getattr(base.config, "fresh_modules", ())
    there = ((name, p) for name, p in base.named_parameters() if ".original_module." not in name)
    own = tuple(f"{module}." for module in fresh)
    return [(name, p) for name, p in there if not name.startswith(inside) or name.startswith(own)]


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Numbers of parameters: `adapter` and trained `head` apart, `trainable`, and `total` as the model would be used.

    Shared ones (a language model's input and output embeddings) count once.
    """
    there = dict(model.named_parameters())
    # bitsandbytes packs two 4-bit weights into an element.
    packed = sum(p.numel() for p in there.values() if type(p).__name__ == "Params4bit")
    spare = sum(p.numel() for name, p in there.items() if ".original_module." in name)
    return {
        "adapter": sum(p.numel() for name, p in there.items() if any(part in name for part in ADDED)),
        "head": sum(p.numel() for _, p in head_parameters(model) if p.requires_grad),
        "trainable": sum(p.numel() for p in there.values() if p.requires_grad),
        "total": sum(p.numel() for p in there.values()) + packed - spare,
    }


def save_trained(model: nn.Module, experiment: Experiment, folder: Path) -> Path | None:
    """Write what was trained: an adapter with its head in peft's format, a head alone, or all weights up to 512 MiB.

    With the model's configuration. Returns the folder that it is in (None: too large). An adapter's base is the hub's.
    """
    if experiment.method in PEFT_METHODS:
        config, base, folder = model.active_peft_config, on_the_hub(experiment.model), folder / ADAPTER
        config.base_model_name_or_path, config.revision = base["hub"], base["revision"]
        # Left to itself, peft asks the hub whether the vocabulary grew; the course never changes it.
        model.save_pretrained(str(folder), save_embedding_layers=False)
    else:
        trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        if sum(p.numel() * p.element_size() for p in trained.values()) > KEPT_BYTES:
            return None
        save_file(trained, folder / KEPT[experiment.method], metadata={"format": "pt"})
    config = copy(model.config)
    vars(config).pop("quantization_config", None)  # how we held the hub's weights, which are not so themselves
    config.save_pretrained(folder)
    return folder


def load_trained(experiment: Experiment, folder: Path) -> nn.Module:
    """The base with what `save_trained` kept. Raises FileNotFoundError if nothing was, ValueError if another's.

    Warns if by its card it was trained on other weights than the base's.
    """
    base, kept = load_for(experiment), folder / KEPT.get(experiment.method, ADAPTER)
    if not kept.exists():
        raise FileNotFoundError(message("nothing_saved", folder=folder.name))
    card, here = (kept if kept.is_dir() else folder) / "README.md", weights_fingerprint(experiment.model)
    trained_on = ModelCard.load(card).data.get("base_fingerprint", here) if card.exists() else here
    if trained_on != here:
        warnings.warn(message("other_base", folder=folder.name, given=here, expected=trained_on), stacklevel=2)
    if experiment.method in PEFT_METHODS:
        base = peft.PeftModel.from_pretrained(base, str(kept))
    elif unexpected := base.load_state_dict(load_file(kept), strict=False).unexpected_keys:
        raise ValueError(message("other_weights", folder=folder.name, names=", ".join(unexpected)))
    return base.eval()
