"""The plans of experiments, told: on this machine and on the GPUs that people have, as text and as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import pandas as pd

from loralab.evidence.protocol import every_experiment
from loralab.experiment import Experiment
from loralab.memory.duration import PEAKS, published_rates, step_seconds
from loralab.memory.fitting import GPUS, ROOM, Change, able, changes, check_fits, fits, said, title, verdict
from loralab.memory.measurement import measure_apart, published, rates_of
from loralab.memory.planning import Plan, largest_batch, plan
from loralab.memory.tracing import PARTS
from loralab.messages import gibibytes, message, number, percent
from loralab.profiles import Profile, Track
from loralab.train.hardware import Device, detect, resolve

DASH = "–"


def wanted(profile: Profile, pairs: Sequence[str]) -> list[Experiment]:
    """What to plan: without pairs all that the profile trains, each size once; else one experiment.

    A pair is `field=value`, of Experiment's fields; what no pair names is as in the profile. `model` may be the path of
    a hub's config.json. Raises ValueError for a pair that is none, or a field or a value that there is not.
    """
    if pairs:
        given = dict(map(_pair, pairs))
        track: Track = profile.generation if given.get("task") == "generation" else profile
        return [track.experiment(given.pop("method", "lora"), **given)]
    found: dict[str, Experiment] = {}
    for track in (profile, profile.generation):
        for experiment in (*every_experiment(track), *map(track.variant, track.variants)):
            if experiment.trains:
                found.setdefault(experiment.but(seed=0, learning_rate=1, examined=True, alpha=1).key, experiment)
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


@dataclass(frozen=True)
class Trial:
    """An experiment on a device: its plan, None where the device cannot compute as it asks (see `able`).

    `seconds` are an estimate of the whole training, None where nothing is known to make one from; `largest_batch` is in
    rows, None where texts are never cut or the device's memory is not known, and `changes` are what to change where the
    plan does not fit.
    """

    device: Device
    plan: Plan | None = None
    seconds: float | None = None
    largest_batch: int | None = None
    changes: Sequence[Change] = ()


def try_on(experiment: Experiment, device: Device) -> Trial:
    """The experiment on a device. Exceptions as in `plan`."""
    if not able(experiment, device):
        return Trial(device)
    planned = plan(experiment, device)
    each, examples = rates_on(planned), experiment.train_size  # which the data may decide: "all"
    seconds = None
    if each and isinstance(examples, int):  # evaluation left out
        seconds = planned.steps(examples) * step_seconds(planned.work, each, device.kind)
    known = experiment.max_length is not None and device.memory > 0
    most = largest_batch(experiment, device, ROOM * device.memory) if known else None
    return Trial(device, planned, seconds, most, changes(planned) if fits(planned) is False else ())


def trials(experiment: Experiment) -> list[Trial]:
    """The experiment on this machine and on each GPU."""
    return [try_on(experiment, device) for device in (detect(), *GPUS)]


def heading(tried: Sequence[Trial]) -> str:
    """What was tried, in a line; of GPUs there is always one that is able."""
    return next(title(trial.plan) for trial in tried if trial.plan)


def rates_on(planned: Plan) -> dict[str, float] | None:
    """Seconds a unit of work on the plan's device: published peaks, or on a CPU what data/sizes.json's achieved.

    None for a GPU whose peaks are not among PEAKS by that name.
    """
    if planned.device.name in PEAKS:
        # Weights in 16 bits are multiplied in 16 bits, whatever the precision of the rest.
        in_bf16 = planned.experiment.weights == "bf16"
        return published_rates(planned.device.name, "bf16" if in_bf16 else planned.experiment.precision)
    return rates_of(published()) if planned.device.kind == "cpu" else None


def as_json(experiments: Sequence[Experiment]) -> str:
    """The plans of experiments, sizes in bytes."""
    listed = []
    for experiment in experiments:
        tried = trials(experiment)
        listed.append({"title": heading(tried), "experiment": experiment.identity(), "devices": list(map(_row, tried))})
    return json.dumps(listed, ensure_ascii=False, indent=1)


def _row(trial: Trial) -> dict[str, Any]:
    row: dict[str, Any] = {"device": trial.device.name, "memory": trial.device.memory}
    if trial.plan is None:
        return row | {"fits": None}
    return row | {
        "precision": trial.plan.experiment.precision,
        **trial.plan.parts,
        "peak": trial.plan.peak,
        "fits": fits(trial.plan),
        "seconds": trial.seconds,
        "largest_batch": trial.largest_batch,
        "changes": [{"change": c.text, "peak": c.plan.peak, "fits": fits(c.plan)} for c in trial.changes],
    }


def as_text(experiments: Sequence[Experiment]) -> Iterator[str]:
    """The plans of experiments as tables in GiB, each with what to change for the devices that it does not fit.

    One after another, as each is made: a large model's takes a minute.
    """
    for experiment in experiments:
        tried = trials(experiment)
        table = pd.DataFrame(map(_shown, tried)).to_string(index=False)
        found = [
            message("to_fit", device=trial.device.name) + "\n" + said(trial.changes, trial.plan)
            for trial in tried
            if trial.plan and trial.changes
        ]
        yield "\n".join([heading(tried), table, *found]) + "\n"
    yield message("plan_note", room=percent(ROOM, 0))


def _shown(trial: Trial) -> dict[str, str]:
    planned, name = trial.plan, message("device")
    cells = ["precision", *(f"part_{part}" for part in PARTS), "peak_gib", "of_gib", "verdict"]
    cells += ["estimated_minutes", "largest_batch"]
    if planned is None:
        texts = dict.fromkeys(cells, DASH) | {"verdict": message("not_able")}
    else:
        texts = {
            "precision": planned.experiment.precision,
            **{f"part_{part}": gibibytes(planned.parts[part]) for part in PARTS},
            "peak_gib": gibibytes(planned.peak),
            "verdict": verdict(planned),
            "estimated_minutes": DASH if trial.seconds is None else number(trial.seconds / 60, 1),
            "largest_batch": DASH if trial.largest_batch is None else number(trial.largest_batch, 0),
        }
    texts |= {"of_gib": gibibytes(trial.device.memory) if trial.device.memory else DASH}
    return {name: trial.device.name} | {message(cell): texts[cell] for cell in cells}


def measured_text(experiments: Sequence[Experiment]) -> Iterator[str]:
    """The experiments' steps as this machine takes them, each in a process of its own: peak, seconds, and the plan's.

    One after another. Raises what `resolve`, `check_fits` and `measure_apart` raise.
    """
    for asked in experiments:
        experiment = resolve(asked, detect())
        check_fits(experiment, detect())
        planned = plan(experiment, detect())
        size = measure_apart(experiment, planned.rows, planned.length)
        peaks, seconds = {"planned": gibibytes(size.plan.peak), "peak": gibibytes(size.peak)}, number(size.seconds, 2)
        yield message("measured_line", title=title(planned), method=size.method, seconds=seconds, **peaks)
