"""Measure the peak memory of training. Planning it comes with a later lesson."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback

CPU_METHOD = "torch.profiler memory events of the largest step, plus static bytes"
CUDA_METHOD = "torch.cuda.max_memory_allocated"


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
    running = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        running += event.nbytes()
        peak = max(peak, running)
    return peak


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what C++ code writes to stderr: starting and stopping the profiler traces each call there."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


class PeakMemory(TrainerCallback):
    """Measures the peak memory of training.

    On a GPU the allocator's own maximum. On a CPU the allocator keeps none, so one step is profiled: the step
    `largest_step` (from 0), which must not be the first, because the optimizer's states are made in that one.
    """

    def __init__(self, largest_step: int) -> None:
        self.largest_step = largest_step
        self.result: dict[str, Any] = {}
        self._profiler: Any = None
        self._static = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start anew."""
        if torch.cuda.is_available() and not args.use_cpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """On a CPU, start the profile before the largest step."""
        if args.device.type == "cpu" and state.global_step == self.largest_step:
            self._static = static_bytes(kwargs["model"], kwargs["optimizer"])
            self._profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
            with quiet_stderr():
                self._profiler.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the profile after that step."""
        if self._profiler is not None:
            with quiet_stderr():
                self._profiler.stop()
            self.result = {"peak_bytes": self._static + profiled_peak(self._profiler), "method": CPU_METHOD}
            self._profiler = None

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """On a GPU, read the allocator."""
        if args.device.type == "cuda":
            peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            self.result = {"peak_bytes": peak, "reserved_bytes": reserved, "method": CUDA_METHOD}
