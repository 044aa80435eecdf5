"""What a device computes with, where tensors without content would take another way."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten


class Kernels(TorchFunctionMode):
    """What a device computes with, where fake tensors would take another way.

    A CPU's fused attention takes no dropout; a GPU's does. Under autocast a GPU computes norms and softmax in fp32
    (torch's "CUDA ops that autocast to float32"), and its dropout keeps a mask of a byte where a CPU's keeps a factor.
    """

    def __init__(self, kind: str, mixed: bool) -> None:
        super().__init__()
        self.gpu, self.mixed = kind == "cuda", mixed

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if self.gpu and func is F.dropout:
            return _dropout(*args, **kwargs)
        if self.gpu and self.mixed and func in (F.layer_norm, F.softmax):
            args = (args[0].float(), *args[1:])
        return func(*args, **kwargs)

    def _attend(
        self, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: float | None = None, enable_gqa: bool = False,
    ) -> Any:  # fmt: skip
        if dropout_p and not self.gpu:
            return F.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
        if torch.is_autocast_enabled("cpu"):
            query, key, value = (tensor.to(torch.get_autocast_dtype("cpu")) for tensor in (query, key, value))
        if enable_gqa:
            key, value = (t.repeat_interleave(query.shape[1] // t.shape[1], 1) for t in (key, value))
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.where(attn_mask, 0.0, float("-inf")).to(query.dtype)
        attended: torch.Tensor = Fused.apply(query, key, value, attn_mask, is_causal, scale)
        return attended


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
        kept: torch.Tensor = output
        return kept

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        """The gradients of query, key and value."""
        query, key, value, output, sums, mask = ctx.saved_tensors
        found = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            gradients[0], query, key, value, output, sums, 0.0, ctx.causal, attn_mask=mask, scale=ctx.scale
        )
        return (*found, None, None, None)


def _dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    if not training or p == 0:
        return input
    dropped: torch.Tensor = torch.native_dropout(input, p, True)[0]
    return dropped


class FourBit(nn.Linear):
    """A linear layer as bitsandbytes keeps it: packed, unpacked to fp32 whenever it is used, forward and backward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (… × in) times the weight (out × in) transposed, in x's type; computed from fp32, as `load_for` asks."""
        shape = (self.out_features, self.in_features)
        product: torch.Tensor = Unpacked.apply(x.float(), self.weight, shape)
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
