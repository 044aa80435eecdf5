"""Take a training step with shapes alone, and count what it makes and frees."""

import weakref
from contextlib import nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from loralab.experiment import Experiment
from loralab.messages import message
from loralab.train.hardware import Device
from loralab.train.models import CHECKPOINTING, apply_method, sees, untrained_model
from loralab.train.objectives import objective_of

aten = torch.ops.aten
PARTS = ("weights", "gradients", "optimizer", "activations", "logits")
PART_NAMES = ("part_weights", "part_gradients", "part_optimizer", "part_activations", "part_logits")  # in messages
STATIC = PARTS[:3]
# Bits of a 4-bit weight: NF4 in blocks of 64, their constants quantized too (Dettmers et al. 2023, section 3).
NF4_BITS = 4.127
# What autocast takes in 16 bits, of what language models do.
PRODUCTS = (F.linear, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm, torch.Tensor.bmm,
            torch.addmm, torch.baddbmm, F.conv1d, F.scaled_dot_product_attention)  # fmt: skip


def step_of(experiment: Experiment, device: Device, rows: int, length: int) -> np.ndarray:
    """The experiment's training step with a batch of that size; its precision is not "auto".

    In bytes: a row for each moment, whenever something was made, and a column for each of PARTS.
    Raises ValueError for a step that cannot be taken on meta tensors, because the model needs their content, or could
    not take it at all; and what `configuration` and `apply_method` raise.
    """
    # PiSSA is LoRA from another start. DoRA over 4 bits is counted as LoRA, a little low: it unpacks weights once more.
    as_lora = experiment.method == "pissa" or (experiment.method == "dora" and experiment.weights == "nf4")
    # What a step does not depend on is left out of what is remembered.
    shape = experiment.but(
        train_size=1, validation_size=1, test_size=1, split_seed=0, seed=0, alpha=1, learning_rate=1,
        epochs=1, batch_size=1, weight_decay=0, warmup_ratio=0, examined=True, profile="", loss_on="answer",
        padding="longest", max_length=None, method="lora" if as_lora else experiment.method,
        gradient_accumulation_steps=min(2, experiment.gradient_accumulation_steps),
        precision="fp32" if experiment.precision == "fp32" else "bf16",  # fp16 takes as many bytes
    )  # fmt: skip
    return take_step(shape, device.kind, rows, length)


@lru_cache(maxsize=64)
def take_step(experiment: Experiment, kind: str, rows: int, length: int) -> np.ndarray:
    """`step_of` for a kind of device, "cpu" or "cuda"."""
    mixed = experiment.precision == "bf16"
    with torch.device("meta"):
        model = apply_method(empty_base(experiment), experiment).train()
    if experiment.activation_checkpointing:
        # A second forward pass, in the middle of the backward one, has to be told again what it computes with.
        again = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), Kernels(kind, mixed))}
        getattr(model, f"{CHECKPOINTING}_enable")(again)
        model.config.get_text_config().use_cache = False  # as Trainer does
    try:
        with torch.device("meta"):
            return _counted(model, experiment, Kernels(kind, mixed), rows, length)
    except Exception as error:  # whatever the model's own code does, or torch where content is not there
        name, reason = Path(experiment.model).name, f"{type(error).__name__}: {error}".rstrip(".")
        raise ValueError(message("not_followed", model=name, error=reason)) from error


def _counted(model: nn.Module, experiment: Experiment, kernels: "Kernels", rows: int, length: int) -> np.ndarray:
    pack(model)
    trained = [p for name, p in model.named_parameters() if p.requires_grad and not sees(name)]
    optimizer = torch.optim.AdamW(trained, fused=True)
    for parameter in trained:
        # The second step is counted, for AdamW makes its averages in the first. Trainer drops the gradients after each
        # update; where they are accumulated, those of the batch before are there.
        averages = {name: torch.empty_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.tensor(1.0), **averages}
        if experiment.gradient_accumulation_steps > 1:
            parameter.grad = torch.empty_like(parameter)
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.zeros(rows, length, dtype=torch.long)
    objective = objective_of(experiment)
    labels = objective.labels(ids)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    counter = Counter(vocabulary)
    counter.note([*model.parameters(), *model.buffers()], "weights")
    counter.note([p.grad for p in trained if p.grad is not None], "gradients")
    counter.note([t for state in optimizer.state.values() for t in state.values()], "optimizer")
    counter.note([*batch.values(), labels], "activations")
    # Autograd hands a gradient over without an operation that could be seen: what was an activation becomes one.
    for parameter in trained:
        parameter.register_post_accumulate_grad_hook(lambda p: counter.note([p.grad], "gradients"))
    with counter:
        with kernels:
            outputs = model(**batch)
        if kernels.mixed:
            outputs.logits = outputs.logits.float()  # as accelerate does
        with kernels:  # entered again, for autocast ends with the model
            loss = objective.loss(outputs, labels, torch.tensor(rows))
        del outputs  # as Trainer does, which keeps the loss alone
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    return np.array(counter.moments)


def empty_base(experiment: Experiment) -> nn.Module:
    """`untrained_model`, whose linear layers are packed where the experiment's weights are of 4 bits."""
    model = untrained_model(experiment)
    if experiment.weights == "nf4":
        head = model.get_output_embeddings()
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear) and child is not head:
                    setattr(module, name, FourBit(child.in_features, child.out_features, child.bias is not None))
    return model


def pack(model: nn.Module) -> None:
    """Give the model's 4-bit weights the size that they have packed."""
    for module in model.modules():
        if isinstance(module, FourBit):
            size = round(module.weight.numel() * NF4_BITS / 8)
            module.weight = nn.Parameter(torch.empty(size, dtype=torch.uint8), requires_grad=False)


class Counter(TorchDispatchMode):
    """Counts the bytes of every storage from its making to its end, by part: see `step_of`."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.moments: list[list[int]] = []
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

    def _end(self, key: int, size: int, _: Any) -> None:
        del self._alive[key]
        self._now[self._places.pop(key)] -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.note(tree_leaves(made))
        return made


class Kernels(TorchFunctionMode):
    """What a device computes with, which meta tensors do not say.

    Attention is fused, though on a CPU not with dropout; a GPU's dropout keeps a mask of a byte where a CPU's keeps a
    factor. Mixed precision is autocast's (torch's "Autocast Op Reference"): products are taken in 16 bits, for which a
    weight is cast once, and a GPU's norms and softmax in fp32.
    """

    def __init__(self, kind: str, mixed: bool) -> None:
        super().__init__()
        self.gpu, self.mixed = kind == "cuda", mixed
        self._cast: dict[torch.Tensor, torch.Tensor] = {}  # by which tensor it is: a tensor's hash is its id

    def __exit__(self, *raised: Any) -> None:
        self._cast.clear()
        super().__exit__(*raised)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.__bool__:
            return False  # content is not there; a mask that is asked whether all is seen is taken to hide something
        if self.mixed and func in PRODUCTS:
            args, kwargs = tree_map(self._half, (args, kwargs))
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if self.gpu and func is F.dropout:
            return _dropout(*args, **kwargs)
        if self.gpu and self.mixed and func in (F.layer_norm, F.softmax):
            args = (args[0].float(), *args[1:])
        return func(*args, **kwargs)

    def _half(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
            return value
        if not (value.requires_grad and value.is_leaf):
            return value.to(torch.bfloat16)
        if value not in self._cast:
            self._cast[value] = value.to(torch.bfloat16)
        return self._cast[value]

    def _attend(
        self, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: float | None = None, enable_gqa: bool = False,
    ) -> Any:  # fmt: skip
        if dropout_p and not self.gpu:
            return F.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
        if enable_gqa:
            key, value = (t.repeat_interleave(query.shape[1] // t.shape[1], 1) for t in (key, value))
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.where(attn_mask, 0.0, float("-inf")).to(query.dtype)
        return Fused.apply(query, key, value, attn_mask, is_causal, scale)


class Fused(torch.autograd.Function):
    """Attention that never writes down its weights: beside query, key and value it keeps its output and a sum a token.

    So do all fused kernels, a CPU's and a GPU's (Dao et al. 2022, section 3.1).
    """

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, causal: bool, scale: Any
    ) -> torch.Tensor:
        """The output (rows × heads × length × width)."""
        output, sums = aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask, scale=scale
        )
        ctx.save_for_backward(query, key, value, output, sums, mask)
        ctx.causal, ctx.scale = causal, scale
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        """The gradients of query, key and value."""
        query, key, value, output, sums, mask = ctx.saved_tensors
        gradients = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            gradients[0], query, key, value, output, sums, 0.0, ctx.causal, attn_mask=mask, scale=ctx.scale
        )
        return (*gradients, None, None, None)


def _dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    if not training or p == 0:
        return input
    return torch.native_dropout(input, p, True)[0]


class FourBit(nn.Linear):
    """A linear layer as bitsandbytes keeps it: packed, unpacked to fp32 whenever it is used, forward and backward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (… × in) times the weight (out × in) transposed, in x's type; computed from fp32, as `load_for` asks."""
        shape = (self.out_features, self.in_features)
        product = Unpacked.apply(x.float(), self.weight, shape)
        return (product if self.bias is None else product + self.bias).to(x.dtype)


class Unpacked(torch.autograd.Function):
    """A product with a packed weight, of which only the packed form is kept (Dettmers et al. 2023, section 3)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, packed: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """x (… × in) times the unpacked weight (out × in) transposed."""
        ctx.shape = shape
        ctx.save_for_backward(packed)
        return x @ x.new_empty(shape).t()  # under autocast in 16 bits, of which both are copies

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient of x."""
        (gradient,) = gradients
        unpacked = gradient.new_empty(ctx.shape, dtype=torch.float32)
        return gradient @ unpacked.to(gradient.dtype), None, None
