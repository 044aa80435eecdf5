"""The plans of experiments, told: on this machine and on the GPUs that people have, as text and as JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_type_hints

import pandas as pd

from loralab.evidence.protocol import every_experiment
from loralab.experiment import Experiment
from loralab.memory.fitting import GPUS, ROOM, changes, changes_text, fit_text, fits, supports, title
from loralab.memory.measurement import measure_apart
from loralab.memory.planning import Plan, largest_batch, plan
from loralab.memory.tracing import PART_NAMES
from loralab.messages import gibibytes, message, number, percent
from loralab.profiles import Profile, Track
from loralab.train.hardware import Device, detect, resolve


def to_plan(profile: Profile, pairs: Sequence[str]) -> list[Experiment]:
    """What to plan: without pairs all that the profile trains, each size once; else one experiment.

    A pair is `field=value`, of Experiment's fields; what no pair names is as in the profile. `model` may be the path of
    a hub's config.json. Raises ValueError for a pair that is none, or a field or a value that there is not.
    """
    if pairs:
        given = dict(map(_pair, pairs))
        track: Track = profile.generation if given.get("task") == "generation" else profile
        return [track.experiment(given.pop("method", "lora"), **given)]
    sizes: dict[str, Experiment] = {}
    for track in (profile, profile.generation):
        for experiment in (*every_experiment(track), *map(track.variant, track.variants)):
            if experiment.trains:
                sizes.setdefault(experiment.but(seed=0, learning_rate=1, examined=True, alpha=1).key, experiment)
    return list(sizes.values())


def _pair(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    kinds = get_type_hints(Experiment)
    if not value or name not in kinds:
        raise ValueError(message("not_a_pair", given=text, choices=", ".join(kinds)))
    if kinds[name] is str:
        return name, value
    try:
        return name, None if value == "none" and name != "target_modules" else json.loads(value)
    except ValueError:  # names of modules, "all", or what Experiment is going to refuse
        return name, value.split(",") if "," in value else value


def on_each(experiment: Experiment) -> dict[Device, Plan | None]:
    """The plan on this machine and on each GPU, None where that cannot compute as the experiment asks."""
    return {device: plan(experiment, device) if supports(experiment, device) else None for device in (detect(), *GPUS)}


def rows_that_fit(planned: Plan) -> int | None:
    """The largest batch; None where texts are never cut or the device's memory is not known."""
    experiment, device = planned.experiment, planned.device
    known = experiment.max_length is not None and device.memory > 0
    return largest_batch(experiment, device, ROOM * device.memory) if known else None


def as_json(experiments: Sequence[Experiment]) -> str:
    """The plans of experiments, sizes in bytes."""
    listed = []
    for experiment in experiments:
        plans = on_each(experiment)
        name = title(next(filter(None, plans.values())))  # of GPUs there is always one that is able
        rows = [{"device": device.name, "memory": device.memory} | _row(planned) for device, planned in plans.items()]
        listed.append({"title": name, "experiment": experiment.identity(), "devices": rows})
    return json.dumps(listed, ensure_ascii=False, indent=1)


def _row(planned: Plan | None) -> dict[str, Any]:
    if planned is None:
        return {"fits": None}
    changed = changes(planned) if fits(planned) is False else []
    return {
        "precision": planned.experiment.precision, **planned.parts, "peak": planned.peak, "fits": fits(planned),
        "largest_batch": rows_that_fit(planned),
        "changes": [{"change": c.text, "peak": c.plan.peak, "fits": fits(c.plan)} for c in changed],
    }  # fmt: skip


def as_text(experiments: Sequence[Experiment]) -> Iterator[str]:
    """The plans of experiments as tables in GiB, each with what to change for the devices that it does not fit.

    One after another, as each is made: a large model's takes a minute.
    """
    for experiment in experiments:
        plans = on_each(experiment)
        table = pd.DataFrame([_shown(*each) for each in plans.items()]).to_string(index=False)
        lines = [title(next(filter(None, plans.values()))), table]
        for device, planned in plans.items():
            if planned and fits(planned) is False:
                lines += [message("to_fit", device=device.name), changes_text(changes(planned), planned)]
        yield "\n".join(lines) + "\n"
    yield message("plan_note", room=percent(ROOM, 0))


def _shown(device: Device, planned: Plan | None) -> dict[str, str]:
    keys = ["device", "precision", *PART_NAMES, "peak_gib", "of_gib", "verdict", "largest_batch"]
    texts = dict.fromkeys(keys, "–") | {"device": device.name, "verdict": message("not_able")}
    if device.memory:
        texts["of_gib"] = gibibytes(device.memory)
    if planned:
        most = rows_that_fit(planned)
        texts |= {"precision": planned.experiment.precision, "verdict": fit_text(planned)}
        texts |= dict(zip(PART_NAMES, map(gibibytes, planned.parts.values()), strict=True))
        texts |= {"peak_gib": gibibytes(planned.peak), "largest_batch": "–" if most is None else number(most, 0)}
    return {message(key): text for key, text in texts.items()}


def measured_text(experiments: Sequence[Experiment]) -> Iterator[str]:
    """The experiments' steps as this machine takes them, each in a process of its own: peak, seconds, and the plan's.

    One after another. Raises ValueError, with what to change, for a step that the memory cannot hold, and what
    `resolve`, `plan` and `measure_apart` raise.
    """
    device = detect()
    for asked in experiments:
        experiment = resolve(asked, device)
        planned = plan(experiment, device)
        if planned.peak > device.memory > 0:
            values = {"name": title(planned), "need": gibibytes(planned.peak), "memory": gibibytes(device.memory)}
            advice = changes_text(changes(planned), planned)
            raise ValueError(message("does_not_fit", device=device.name, advice=advice, **values))
        size = measure_apart(experiment, planned.rows, planned.length)
        peaks, seconds = {"planned": gibibytes(size.plan.peak), "peak": gibibytes(size.peak)}, number(size.seconds, 2)
        yield message("measured_line", title=title(planned), method=size.method, seconds=seconds, **peaks)
