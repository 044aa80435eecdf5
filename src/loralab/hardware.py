"""What this machine is, and what follows from it. Decisions are pure functions of a Device."""

import os
from dataclasses import dataclass

import torch

from loralab.experiment import Experiment


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


def precision(device: Device) -> str:
    """The training precision that suits a device: "fp32", "fp16" (mixed over fp32 weights) or "bf16" (likewise).

    Decided by compute capability, not by `torch.cuda.is_bf16_supported()`: that is True on a T4 (7.5), which only
    emulates bf16. Ampere (8.0) was the first with bf16 units; Volta (7.0) the first with fp16 tensor cores.
    """
    if device.capability is None or device.capability < (7, 0):
        return "fp32"
    return "bf16" if device.capability >= (8, 0) else "fp16"


def resolve(experiment: Experiment, device: Device) -> Experiment:
    """The experiment with "auto" precision replaced by the device's, so that identity knows what is trained."""
    return experiment if experiment.precision != "auto" else experiment.but(precision=precision(device))


def default_profile(device: Device) -> str:
    """The profile for a machine on which LORALAB_PROFILE is not set."""
    return "t4" if device.kind == "cuda" else "cpu"
