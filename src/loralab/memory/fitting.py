"""Does training fit a device's memory, and what can be changed so that it does?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loralab.experiment import PEFT_METHODS, Experiment
from loralab.memory.planning import Plan, largest_batch, plan
from loralab.messages import gibibytes, message
from loralab.train.hardware import Device, precisions

MIB = 2**20
# Memory as nvidia-smi reports it, and NVIDIA's compute capability.
GPUS = (
    Device("cuda", "T4", 15_360 * MIB, (7, 5)),
    Device("cuda", "L4", 23_034 * MIB, (8, 9)),
    Device("cuda", "A100 40 GB", 40_960 * MIB, (8, 0)),
    Device("cuda", "A100 80 GB", 81_920 * MIB, (8, 0)),
    Device("cuda", "H100", 81_559 * MIB, (9, 0)),
)
# The share of a memory that a step may take: an assumption. The rest is for the driver, CUDA's context, what the
# allocator holds and does not use, or on a CPU for the other programs.
ROOM = 0.9


@dataclass(frozen=True)
class Change:
    """Something to change, in words, and what the step would then take."""

    text: str
    plan: Plan


def fits(planned: Plan) -> bool | None:
    """Whether the step leaves the device the room that it needs beside; None if its memory is not known (0)."""
    return planned.peak <= ROOM * planned.device.memory if planned.device.memory else None


def changes(planned: Plan) -> list[Change]:
    """What can be changed so that the step takes less, each alone, what changes the result least first."""
    experiment, device, read = planned.experiment, planned.device, planned.experiment.reads
    batch, steps = experiment.batch_size, experiment.gradient_accumulation_steps
    asked: list[tuple[str, dict[str, Any]]] = []
    divisors = [parts for parts in range(2, batch + 1) if batch % parts == 0]
    if divisors:
        # Gradients that are accumulated are there all the time.
        most = largest_batch(experiment.but(gradient_accumulation_steps=2), device, ROOM * device.memory)
        parts = next((parts for parts in divisors if batch // parts <= most), divisors[-1])
        asked.append(("change_batch", {"batch_size": batch // parts, "gradient_accumulation_steps": parts * steps}))
    if "activation_checkpointing" in read and not experiment.activation_checkpointing:
        asked.append(("change_checkpointing", {"activation_checkpointing": True}))
    if experiment.precision == "fp32" and len(precisions(device)) > 1:
        asked.append(("change_precision", {"precision": "auto"}))
    if experiment.method == "full":
        asked.append(("change_lora", {"method": "lora"}))
    if "weights" in read and experiment.method in PEFT_METHODS and device.kind == "cuda":
        smaller = {"fp32": ("bf16", "nf4"), "bf16": ("nf4",), "nf4": ()}[experiment.weights]
        possible = [weights for weights in smaller if weights == "nf4" or "bf16" in precisions(device)]
        asked += [("change_weights", {"weights": weights}) for weights in possible]
    if (experiment.max_length or 0) > 1:
        asked.append(("change_length", {"max_length": (experiment.max_length or 0) // 2}))
    possible_changes = []
    for key, change in asked:
        try:
            changed = plan(experiment.but(**change), device)
        except ValueError:  # no change for this model or method, which is not to hide those that are
            continue
        if changed.peak < planned.peak:
            possible_changes.append(Change(message(key, **change), changed))
    return possible_changes


def changes_text(listed: Sequence[Change], planned: Plan) -> str:
    """Changes to a plan in words, a line each, with what they save and whether that is enough."""
    if not listed:
        return message("nothing_to_change")
    lines = []
    for change in listed:
        peak, saved = gibibytes(change.plan.peak), gibibytes(planned.peak - change.plan.peak)
        lines.append(message("change_line", change=change.text, peak=peak, saved=saved, fit=fit_text(change.plan)))
    return "\n".join(lines)


def fit_text(planned: Plan) -> str:
    """Whether a plan fits, in words."""
    return message({True: "fits", False: "too_large", None: "memory_not_known"}[fits(planned)])


def title(planned: Plan) -> str:
    """What is planned in a line: model, method, weights and batch."""
    experiment = planned.experiment
    rank = f" r={experiment.rank}" if "rank" in experiment.identity() else ""
    return message(
        "plan_title", model=experiment.model.rsplit("/", 1)[-1], method=experiment.method + rank,
        weights=experiment.weights if "weights" in experiment.identity() else "fp32",
        rows=planned.rows, length=planned.length,
        uncut="" if experiment.max_length else message("plan_uncut"),
        checkpointing=message("plan_checkpointing") if experiment.activation_checkpointing else "",
    )  # fmt: skip


def supports(experiment: Experiment, device: Device) -> bool:
    """Whether the device computes in the precision and holds the weights that the experiment asks for."""
    if experiment.precision not in ("auto", *precisions(device)):
        return False
    if "weights" not in experiment.identity() or experiment.weights == "fp32":
        return True
    return device.kind == "cuda" if experiment.weights == "nf4" else "bf16" in precisions(device)
