"""Training steps as they were taken for real, beside what was planned: what `make sizes` and `make gpu-check` found."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from loralab.experiment import Experiment
from loralab.memory.planning import Plan
from loralab.messages import message, number
from loralab.train.hardware import Device

SIZES = "sizes.json"  # in data/: what `make sizes` found


@dataclass(frozen=True, kw_only=True)
class Size:
    """A step as planned, and as a device took it.

    `peak` and `static` are the bytes measured, by `method` (see loralab.train.peak), `seconds` a step's median time.
    """

    plan: Plan
    peak: int
    static: int
    method: str
    seconds: float

    @property
    def ratio(self) -> float:
        """The planned peak over the measured one."""
        return self.plan.peak / self.peak


def size_name(size: Size) -> str:
    """What a size is of, in a line: the method, and what differs from the usual."""
    experiment = size.plan.experiment
    modules, dropout, steps = experiment.target_modules, experiment.dropout, experiment.gradient_accumulation_steps
    parts = {
        experiment.method: True,
        str(modules): modules != "default",
        message("with_dropout", dropout=number(dropout, 1)): dropout and "dropout" in experiment.reads,
        message("with_checkpointing"): experiment.activation_checkpointing,
        message("with_accumulation", steps=steps): steps > 1,
    }
    told = ", ".join(part for part, there in parts.items() if there)
    return f"{experiment.model}, {size.plan.rows} × {size.plan.length}: {told}"


def loaded(row: dict[str, Any]) -> Size:
    """A size from its row in a file."""
    planned = row["plan"]
    made = {"experiment": Experiment(**planned["experiment"]), "device": Device(**planned["device"])}
    return Size(**(row | {"plan": Plan(**(planned | made))}))


def published() -> list[Size]:
    """The sizes in data/sizes.json."""
    text = files("loralab_data").joinpath(SIZES).read_text(encoding="utf-8")
    return [loaded(row) for row in json.loads(text)]


def found_on_gpu() -> dict[str, Any]:
    """What `make gpu-check` found: the `card`, how many `steps`, and by what share peaks were `below` at most."""
    found = json.loads(files("loralab_data").joinpath("gpu.json").read_text(encoding="utf-8"))
    ratios = [step["ratio"] for part in ("steps", "four_bits") for step in found.get(part, ())]
    return {"card": found["card"], "steps": len(ratios), "below": 1 - min(ratios)}
