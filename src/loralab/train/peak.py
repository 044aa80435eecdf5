"""Measure the peak memory of training."""

import gc
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback


def static_bytes(model: nn.Module, optimizer: torch.optim.Optimizer | None) -> int:
    """Bytes of weights, buffers, gradients and optimizer states that are there between two steps."""
    tensors = [*model.parameters(), *model.buffers()]
    tensors += [p.grad for p in model.parameters() if p.grad is not None]
    if optimizer is not None:
        tensors += [t for state in optimizer.state.values() for t in state.values() if torch.is_tensor(t)]
    return sum(t.numel() * t.element_size() for t in {t.data_ptr(): t for t in tensors}.values())


def profiled_peak(profiler: Any) -> int:
    """The highest running sum of a profile's allocations and frees, in bytes above the start."""
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return max(accumulate(changes, initial=0))


class PeakMemory(TrainerCallback):
    """Measures the peak memory of training, evaluation left out; `result` has `method` and `peak_bytes`.

    "cuda": the allocator's own maximum (torch.cuda.max_memory_allocated), the highest of all epochs, also over an
    interruption, less what is not this run's, such as an earlier model; `reserved_bytes` is all that it held.
    "profiler": a CPU's allocator keeps no maximum, so one step is profiled (torch.profiler's memory events, plus the
    bytes there are between two steps): `largest_step` (from 0), not the first, which makes the optimizer's states.
    """

    def __init__(self, largest_step: int) -> None:
        self.largest_step = largest_step
        self.result: dict[str, Any] = {}
        self._profiler: Any = None
        self._static = self._others = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.device.type == "cuda":
            # From the first product of either pass on cuBLAS keeps workspaces, up to 64 MiB, that are no run's own.
            once = torch.ones(8, 8, device=args.device, requires_grad=True)
            nn.functional.linear(once, once, once[0]).sum().backward()
            gc.collect()
            torch.cuda.empty_cache()
            self._others = torch.cuda.memory_allocated() - static_bytes(kwargs["model"], kwargs["optimizer"])

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.device.type == "cuda":
            torch.cuda.empty_cache()  # so that what evaluation reserved does not count either
            torch.cuda.reset_peak_memory_stats()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.device.type == "cuda":
            peak, reserved = torch.cuda.max_memory_allocated() - self._others, torch.cuda.max_memory_reserved()
            self.result = {
                "method": "cuda",
                "peak_bytes": max(peak, self.result.get("peak_bytes", 0)),
                "reserved_bytes": max(reserved, self.result.get("reserved_bytes", 0)),
            }

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.device.type == "cpu" and state.global_step == self.largest_step:
            self._static = static_bytes(kwargs["model"], kwargs["optimizer"])
            self._profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
            self._profiler.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._profiler is not None:
            self._profiler.stop()
            self.result = {"method": "profiler", "peak_bytes": self._static + profiled_peak(self._profiler)}
            self._profiler = None
