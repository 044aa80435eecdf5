"""What this machine is, and what follows from it. Decisions are pure functions of a Device."""

import os
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from loralab.data.assets import assets
from loralab.experiment import Experiment
from loralab.messages import message, one_of


@dataclass(frozen=True)
class Device:
    """The facts that decisions rest on. `memory` is in bytes; `capability` is CUDA's, None on a CPU."""

    kind: str
    name: str
    memory: int
    capability: tuple[int, int] | None = None


def detect() -> Device:
    """The device that training will use: the first CUDA GPU, else the CPU."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Device("cuda", properties.name, properties.total_memory, (properties.major, properties.minor))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return Device("cpu", f"{os.cpu_count()} × CPU", memory)


def precisions(device: Device) -> tuple[str, ...]:
    """The precisions that a device can train in, the one that suits it last.

    "fp16" and "bf16" are mixed over fp32 weights. Decided by compute capability, not by
    `torch.cuda.is_bf16_supported()`: that is True on a T4 (7.5), which only emulates bf16. Volta (7.0) was the first
    with fp16 tensor cores, Ampere (8.0) the first with bf16 units.
    """
    if device.capability is None or device.capability < (7, 0):
        return ("fp32",)
    return ("fp32", "fp16", "bf16") if device.capability >= (8, 0) else ("fp32", "fp16")


def resolve(experiment: Experiment, device: Device) -> Experiment:
    """The experiment with "auto" precision replaced by what suits the device, so that identity knows what is trained.

    Raises ValueError, naming what can be done instead, if the experiment asks for a precision that the device cannot
    train in or in which its model overflows, or for weights that the device cannot hold.
    """
    possible = precisions(device)
    overflows = assets("model").get(experiment.model, {}).get("overflows_fp16", False)
    if overflows and "model" in experiment.reads:
        if experiment.precision == "fp16":
            raise ValueError(message("overflows_fp16", model=experiment.model))
        possible = tuple(name for name in possible if name != "fp16")
    weights = experiment.weights if "weights" in experiment.reads else ""
    if weights == "nf4" and (device.kind != "cuda" or find_spec("bitsandbytes") is None):
        raise ValueError(message("qlora_impossible", device=device.name))
    if weights == "bf16" and "bf16" not in precisions(device):
        raise ValueError(message("bf16_impossible", device=device.name))
    if experiment.precision == "auto":
        return experiment.but(precision=possible[-1])
    if experiment.precision not in possible:
        one_of("precision", f"{experiment.precision} ({device.name})", possible)
    return experiment
