"""Will it fit? Plans set against the memory of this machine and of the GPUs that people have, with what to change."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import pandas as pd

from loralab.duration import PEAKS, published_rates, training_seconds
from loralab.experiment import METHOD_FIELDS, PEFT_METHODS, Experiment
from loralab.hardware import Device, detect, precisions, resolve
from loralab.memory import Plan, largest_batch, plan
from loralab.messages import message, number
from loralab.profiles import Profile, Track
from loralab.sizing import measure_apart, published, rates_of
from loralab.tracing import PARTS

MIB, GIB = 2**20, 2**30
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


def fits(planned: Plan) -> bool:
    """Whether the step leaves the device the room that it needs beside."""
    return planned.peak <= ROOM * planned.device.memory


def changes(planned: Plan) -> list[Change]:
    """What can be changed so that the step takes less, each alone, what costs nothing of the result first."""
    experiment, device = planned.experiment, planned.device
    read = METHOD_FIELDS[experiment.task][experiment.method]
    asked: list[tuple[str, dict[str, Any]]] = []
    if experiment.batch_size > 1:
        # Gradients that are accumulated are there all the time.
        accumulating = experiment.but(gradient_accumulation_steps=2)
        most = max(1, min(experiment.batch_size // 2, largest_batch(accumulating, device, ROOM * device.memory)))
        rows = max(rows for rows in range(1, most + 1) if experiment.batch_size % rows == 0)
        steps = experiment.batch_size // rows * experiment.gradient_accumulation_steps
        asked.append(("change_batch", {"batch_size": rows, "gradient_accumulation_steps": steps}))
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
    tried = [(key, change, plan(experiment.but(**change), device)) for key, change in asked]
    return [
        Change(message(key, **{name: str(value) for name, value in change.items()}), found)
        for key, change, found in tried
        if found.peak < planned.peak
    ]


def said(listed: Sequence[Change], planned: Plan) -> str:
    """Changes to a plan in words, a line each, with what they save and whether that is enough."""
    return "\n".join(
        message(
            "change_line",
            change=change.text,
            peak=gibibytes(change.plan.peak),
            saved=gibibytes(planned.peak - change.plan.peak),
            verdict=message("fits" if fits(change.plan) else "too_large"),
        )
        for change in listed
    )


def check_fits(experiment: Experiment, device: Device) -> None:
    """Raises ValueError, with what to change, if a whole batch of the longest texts cannot fit the device's memory.

    For an experiment that trains; nothing is loaded. A device that does not say how much memory it has is not checked.
    """
    if not device.memory or "learning_rate" not in experiment.identity():
        return
    planned = plan(experiment, device)
    if planned.peak > device.memory:
        raise ValueError(
            message(
                "does_not_fit", name=title(experiment), need=gibibytes(planned.peak), device=device.name,
                memory=gibibytes(device.memory), advice=said(changes(planned), planned),
            )
        )  # fmt: skip


def gibibytes(size: float) -> str:
    """A size in GiB, as memory is counted."""
    return number(size / GIB, 2 if size < 10 * GIB else 1)


def title(experiment: Experiment) -> str:
    """What is planned in a line: model, method, weights and batch."""
    rank = f" r={experiment.rank}" if "rank" in experiment.identity() else ""
    return message(
        "plan_title", model=experiment.model.rsplit("/", 1)[-1], method=experiment.method + rank,
        weights=experiment.weights if "weights" in experiment.identity() else "fp32",
        rows=experiment.batch_size, length=experiment.max_length or 1,
        checkpointing=message("plan_checkpointing") if experiment.activation_checkpointing else "",
    )  # fmt: skip


def wanted(profile: Profile, pairs: Sequence[str]) -> list[Experiment]:
    """What to plan: without pairs all that the profile trains, each size once; else one experiment.

    A pair is `field=value`, of Experiment's fields; what no pair names is as in the profile. `model` may be the path of
    a hub's config.json. Raises ValueError for a pair that is none, or a field or a value that there is not.
    """
    if pairs:
        given = dict(map(_pair, pairs))
        track: Track = profile.generation if given.get("task") == "generation" else profile
        return [track.experiment(given.pop("method", "lora"), **given)]
    found: dict[tuple[Any, ...], Experiment] = {}
    for track in (profile, profile.generation):
        variants = [track.variant(name) for name in track.variants]
        for experiment in (*track.comparison(), *track.rank_comparison(), *variants):
            if "learning_rate" in experiment.identity():
                size = (experiment.but(seed=0).key, experiment.weights)
                found.setdefault(size, experiment)
    return list(found.values())


def _pair(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    kinds = get_type_hints(Experiment)
    choices = [field.name for field in fields(Experiment)]
    if not value or name not in choices:
        raise ValueError(message("not_a_pair", given=text, choices=", ".join(choices)))
    if kinds[name] is str:
        return name, value
    if name == "target_modules":
        return name, tuple(value.split(",")) if "," in value else value
    if value == "none":
        return name, None
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # Experiment says what is wrong with it, or takes it: "all"


def able(experiment: Experiment, device: Device) -> bool:
    """Whether the device computes in the precision and holds the weights that the experiment asks for."""
    if experiment.precision not in ("auto", *precisions(device)):
        return False
    if "weights" not in experiment.identity() or experiment.weights == "fp32":
        return True
    return device.kind == "cuda" if experiment.weights == "nf4" else "bf16" in precisions(device)


def rows_of(experiment: Experiment) -> list[dict[str, Any]]:
    """The experiment on this machine and on each GPU, sizes in bytes.

    `fits` is None, and nothing is planned, where a device cannot compute as it asks; see `able`.
    """
    rows: list[dict[str, Any]] = []
    for device in (detect(), *GPUS):
        row = {"device": device.name, "memory": device.memory, "fits": None}
        if able(experiment, device):
            planned = plan(experiment, device)
            row |= {"precision": planned.experiment.precision, **planned.parts, "peak": planned.peak}
            row |= {"fits": fits(planned)}
            each = rates_on(planned)
            row |= {"seconds": training_seconds(planned, each) if each else None}
            row |= {"largest_batch": largest_batch(planned.experiment, device, ROOM * device.memory)}
        rows.append(row)
    return rows


def rates_on(planned: Plan) -> dict[str, float] | None:
    """Seconds a unit of work on the plan's device: published peaks, or on a CPU what data/sizes.json's achieved.

    None for a GPU whose peaks are not among PEAKS by that name.
    """
    if planned.device.name in PEAKS:
        return published_rates(planned.device.name, planned.experiment.precision)
    return rates_of(published()) if planned.device.kind == "cpu" else None


def remedies(experiment: Experiment) -> dict[str, list[Change]]:
    """What to change, for the devices that could train the experiment if it took less, by device."""
    found = {}
    for device in (detect(), *GPUS):
        if able(experiment, device):
            planned = plan(experiment, device)
            if not fits(planned):
                found[device.name] = changes(planned)
    return found


def as_json(experiments: Sequence[Experiment]) -> str:
    """The plans of experiments, sizes in bytes."""
    listed = [
        {
            "title": title(experiment),
            "experiment": experiment.identity(),
            "devices": rows_of(experiment),
            "changes": {
                device: [{"change": c.text, "peak": c.plan.peak, "fits": fits(c.plan)} for c in found]
                for device, found in remedies(experiment).items()
            },
        }
        for experiment in experiments
    ]
    return json.dumps(listed, ensure_ascii=False, indent=1)


def as_text(experiments: Sequence[Experiment]) -> str:
    """The plans of experiments as tables in GiB, each with what to change for the devices that it does not fit."""
    blocks = []
    for experiment in experiments:
        table = pd.DataFrame(map(_shown, rows_of(experiment))).to_string(index=False)
        found = [
            message("to_fit", device=device) + "\n" + said(listed, plan(experiment, _named(device)))
            for device, listed in remedies(experiment).items()
        ]
        blocks.append("\n".join([title(experiment), table, *found]))
    return "\n\n".join([*blocks, message("plan_note", room=number(100 * ROOM, 0))])


def measured_text(experiments: Sequence[Experiment]) -> str:
    """The experiments' steps as this machine takes them, each in a process of its own: peak, seconds, and the plan's.

    Raises what `resolve`, `check_fits` and `measure_apart` raise.
    """
    lines = []
    for asked in experiments:
        experiment = resolve(asked, detect())
        check_fits(experiment, detect())
        size = measure_apart(experiment, experiment.batch_size, experiment.max_length or 1)
        planned = gibibytes(sum(size.planned.values()))
        values = {"planned": planned, "peak": gibibytes(size.peak), "seconds": number(size.seconds, 2)}
        lines.append(message("measured_line", title=title(experiment), method=size.method, **values))
    return "\n".join(lines)


def _named(device: str) -> Device:
    return next(one for one in (detect(), *GPUS) if one.name == device)


def _shown(row: dict[str, Any]) -> dict[str, str]:
    sizes = {message(f"part_{part}"): row.get(part) for part in PARTS}
    sizes |= {message("peak_gib"): row.get("peak"), message("of_gib"): row["memory"]}
    verdict = "not_able" if row["fits"] is None else "fits" if row["fits"] else "too_large"
    return {
        message("device"): row["device"],
        message("precision"): row.get("precision", "–"),
        **{name: "–" if size is None else gibibytes(size) for name, size in sizes.items()},
        message("verdict"): message(verdict),
        message("estimated_minutes"): "–" if row.get("seconds") is None else number(row["seconds"] / 60, 1),
        message("largest_batch"): number(row["largest_batch"], 0) if "largest_batch" in row else "–",
    }
