"""Take a training step with shapes alone: what it makes and frees, and what it computes, is counted."""

import json
import logging
import weakref
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers import AutoModelForSequenceClassification as AutoClassifier

from loralab.assets import asset
from loralab.experiment import Experiment
from loralab.files import CLASSES
from loralab.hardware import Device
from loralab.kernels import FourBit, Kernels, aten
from loralab.messages import message
from loralab.models import apply_method, locate
from loralab.training import CHECKPOINTING, summed_loss

PARTS = ("weights", "gradients", "optimizer", "activations", "logits")
STATIC = PARTS[:3]
WORK = ("operations", "bytes", "fresh", "drawn", "started")
# glibc asks the system for a block of more than this many bytes anew each time (M_MMAP_THRESHOLD's maximum), and the
# system hands it over page by page, zeroed.
FRESH = 32 * 2**20
# Bits of a 4-bit weight: NF4 in blocks of 64, their constants quantized too (Dettmers et al. 2023, section 3).
NF4_BITS = 4.127
# A CPU's fused attention, which torch's counter of operations does not know, by the name of its like that it does.
COUNTED = dict(flop_registry) | {
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
}
# Operations that draw a random number for each element.
RANDOM = (aten.bernoulli_, aten.native_dropout)


@dataclass(frozen=True)
class Step:
    """A training step as it was counted.

    `moments` are bytes, a row whenever something was made, a column for each of PARTS. The work of a
    batch's `forward` and `backward` passes and of the `update` that follows one batch or several, by kind (WORK):
    floating-point `operations` of matrix products, `bytes` read and written, those in new blocks of over FRESH bytes
    (`fresh`), random numbers `drawn`, and operations `started`.
    """

    moments: np.ndarray
    forward: dict[str, float]
    backward: dict[str, float]
    update: dict[str, float]

    def work(self, batches: int) -> dict[str, float]:
        """What an optimizer's step computes that accumulates so many batches' gradients, by kind."""
        return {kind: batches * (self.forward[kind] + self.backward[kind]) + self.update[kind] for kind in self.update}


class NotFollowed(ValueError):
    """A step that cannot be taken on fake tensors: the model chooses by their content, or could not take it at all."""


def step_of(experiment: Experiment, device: Device, rows: int, length: int, attention: str | None = None) -> Step:
    """The experiment's training step with a batch of that size; its precision is not "auto".

    Raises NotFollowed for a step that fails on fake tensors, what `configuration` and `apply_method`
    raise, and ValueError for an implementation of attention that the model does not have.
    """
    # PiSSA is LoRA from another start. DoRA over 4 bits is counted as LoRA, a little low: it unpacks weights once more.
    as_lora = experiment.method == "pissa" or (experiment.method == "dora" and experiment.weights == "nf4")
    # What a step does not depend on is left out of what is remembered.
    shape = experiment.but(
        dataset="", train_size=1, validation_size=1, test_size=1, split_seed=0, seed=0, alpha=1, learning_rate=1,
        epochs=1, batch_size=1, weight_decay=0, warmup_ratio=0, examined=True, profile="", loss_on="answer",
        padding="longest", max_length=None, method="lora" if as_lora else experiment.method,
        gradient_accumulation_steps=min(2, experiment.gradient_accumulation_steps),
        precision="fp32" if experiment.precision == "fp32" else "bf16",  # fp16 takes as many bytes
    )  # fmt: skip
    return take_step(shape, device.kind, rows, length, attention)


@lru_cache(maxsize=64)
def take_step(experiment: Experiment, kind: str, rows: int, length: int, attention: str | None) -> Step:
    """`step_of` for a kind of device, "cpu" or "cuda"."""
    mixed = experiment.precision == "bf16"
    with torch.device("meta"):
        model = apply_method(empty_base(experiment, attention), experiment).train()
    if experiment.activation_checkpointing:
        # A second forward pass, in the middle of the backward one, has to be told again what it computes with.
        again = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), Kernels(kind, mixed))}
        getattr(model, f"{CHECKPOINTING}_enable")(again)
        model.config.get_text_config().use_cache = False  # as Trainer does
    logger = logging.getLogger("torch._subclasses.fake_tensor")  # it would tell of an error before it is raised
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        return _counted(model, experiment, Kernels(kind, mixed), rows, length)
    except Exception as error:  # whatever the model's own code does, or torch where content is not there
        name = Path(experiment.model).name
        raise NotFollowed(
            message("not_followed", model=name, error=f"{type(error).__name__}: {error}".rstrip("."))
        ) from error
    finally:
        logger.setLevel(level)


def _counted(model: nn.Module, experiment: Experiment, kernels: Kernels, rows: int, length: int) -> Step:
    half = torch.bfloat16 if kernels.mixed else None
    # torch works under autocast only where tensors say that they are on a CPU or a GPU, as fake ones do.
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake(model)
        trained = [p for name, p in model.named_parameters() if p.requires_grad and not sees(name)]
        optimizer = torch.optim.AdamW(trained, fused=True)
        for parameter in trained:
            parameter.grad = torch.empty_like(parameter)
        optimizer.step()  # so that its states are there
        if experiment.gradient_accumulation_steps == 1:
            optimizer.zero_grad()
        vocabulary = model.config.get_text_config().vocab_size
        ids = torch.zeros(rows, length, dtype=torch.long)
        labels = torch.zeros(rows, dtype=torch.long) if experiment.task == "classification" else ids.clone()
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        counter = Counter(vocabulary)
        counter.note([*model.parameters(), *model.buffers()], "weights")
        counter.note([p.grad for p in trained if p.grad is not None], "gradients")
        counter.note([t for state in optimizer.state.values() for t in state.values()], "optimizer")
        counter.note([*batch.values(), labels], "activations")
        for parameter in trained:
            parameter.register_post_accumulate_grad_hook(lambda p: counter.note([p.grad], "gradients"))
        with counter, kernels:
            with torch.autocast("cpu", dtype=half) if half else nullcontext():
                outputs = model(**batch)
            if half:
                outputs.logits = outputs.logits.float()  # as accelerate does
            loss = summed_loss(outputs, labels, torch.tensor(rows))
            del outputs
            forward = counter.taken()
            loss.backward()
            backward = counter.taken()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            update = counter.taken()
    return Step(np.array(counter.moments), forward, backward, update)


def configuration(model: str) -> Any:
    """A model's configuration: what data/assets.toml has of it, its own file, or a hub's config.json at that path.

    Raises what `locate` raises, and ValueError for a file that is no configuration of a model that transformers knows.
    """
    if model.endswith(".json"):
        try:
            return AutoConfig.for_model(**json.loads(Path(model).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, StrictDataclassError) as error:
            raise ValueError(message("no_configuration", path=Path(model).name, error=error)) from error
    written = dict(asset("model", model).get("config", {}))
    return AutoConfig.for_model(**written) if written else AutoConfig.from_pretrained(locate(model))


def empty_base(experiment: Experiment, attention: str | None = None) -> nn.Module:
    """What `load_for` loads, from its configuration and without weights, on the device in force.

    `attention` is as in `loralab.memory.plan`.
    """
    config = configuration(experiment.model)
    kind: Any = AutoModelForCausalLM
    if experiment.task == "classification":
        kind, config.num_labels = AutoClassifier, CLASSES
    elif config.model_type == "gemma3":
        kind = AutoModelForImageTextToText
    dtype = torch.bfloat16 if experiment.weights == "bf16" else torch.float32
    model = kind.from_config(config, dtype=dtype, attn_implementation=attention)
    if experiment.weights == "nf4":
        head = model.get_output_embeddings()
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear) and child is not head:
                    setattr(module, name, FourBit(child.in_features, child.out_features, child.bias is not None))
    return model


def sees(name: str) -> bool:
    """Whether a parameter is of the part that sees images, which gets no gradient from text."""
    return "vision_tower" in name or "multi_modal_projector" in name


def fake(model: nn.Module) -> None:
    """Put fake tensors of a CPU in the place of the model's parameters and buffers; 4-bit weights have their size."""
    made: dict[int, torch.Tensor] = {}
    kept = []  # so that no other tensor takes an id
    for module in model.modules():
        for own in (module._parameters, module._buffers):
            for name, tensor in own.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    kept.append(tensor)
                    made[id(tensor)] = _faked(tensor, isinstance(module, FourBit) and name == "weight")
                own[name] = made[id(tensor)]


def _faked(tensor: torch.Tensor, packed: bool) -> torch.Tensor:
    if packed:
        size = round(tensor.numel() * NF4_BITS / 8)
        return nn.Parameter(torch.empty(size, dtype=torch.uint8, device="cpu"), requires_grad=False)
    new = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
    return nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new


class Counter(TorchDispatchMode):
    """Counts the bytes of every storage from its making to its end, by part, and each operation's work: see `Step`."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.moments: list[list[int]] = []
        self._work = dict.fromkeys(WORK, 0.0)
        self._now = [0] * len(PARTS)
        self._places: dict[int, int] = {}
        self._alive: dict[int, Any] = {}

    def note(self, tensors: Any, part: str | None = None) -> None:
        """Count tensors as a part; those that nobody gave a part are logits by their shape, or else activations."""
        for tensor in tensors:
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            known = key in self._places
            if known and part is None:
                continue
            place = PARTS.index(part or ("logits" if self.vocabulary in tensor.shape[1:] else "activations"))
            if known:
                self._now[self._places[key]] -= size
            else:
                self._alive[key] = weakref.ref(storage, partial(self._end, key, size))
            self._places[key] = place
            self._now[place] += size
        self.moments.append(list(self._now))

    def taken(self) -> dict[str, float]:
        """The work since the last time that it was asked for, by kind."""
        work, self._work = self._work, dict.fromkeys(WORK, 0.0)
        return work

    def _end(self, key: int, size: int, _: Any) -> None:
        del self._alive[key]
        self._now[self._places.pop(key)] -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if not func.is_view and func.namespace != "prim":  # which asks a tensor what it is, and computes nothing
            self._count(func, args, kwargs, made)
        self.note(tree_leaves(made))
        return made

    def _count(self, func: Any, args: Any, kwargs: Any, made: Any) -> None:
        given = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)]
        results = [tensor for tensor in tree_leaves(made) if isinstance(tensor, torch.Tensor)]
        if not results:  # an optimizer's operation on lists writes to what it is given, and returns nothing
            written = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
            named = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
            results = [t for t in tree_leaves([named.get(name) for name in written]) if isinstance(t, torch.Tensor)]
        known = {tensor.untyped_storage()._cdata for tensor in given}
        new = [t.untyped_storage().nbytes() for t in results if t.untyped_storage()._cdata not in known]
        counted = COUNTED.get(func.overloadpacket)
        self._work["started"] += 1
        self._work["operations"] += counted(*args, **kwargs, out_val=made) if counted else 0
        self._work["bytes"] += sum(tensor.numel() * tensor.element_size() for tensor in (*given, *results))
        self._work["fresh"] += sum(size for size in new if size > FRESH)
        if func.overloadpacket in RANDOM:
            self._work["drawn"] += results[0].numel()
