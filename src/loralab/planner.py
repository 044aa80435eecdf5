"""The plans of experiments, told: on this machine and on the GPUs that people have, as text."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_type_hints

import pandas as pd

from loralab.evidence.protocol import every_experiment
from loralab.experiment import Experiment
from loralab.memory.fitting import GPUS, ROOM, changes, changes_text, fit_text, fits, supports, title
from loralab.memory.planning import Plan, largest_batch, plan
from loralab.memory.tracing import PART_NAMES
from loralab.messages import gibibytes, message, number, percent
from loralab.profiles import Profile, Track
from loralab.train.hardware import Device, detect


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
                data = {"dataset": "", "train_size": 1, "validation_size": 1, "test_size": 1, "repetition_penalty": 1}
                same = experiment.but(seed=0, learning_rate=1, examined=True, alpha=1, epochs=1, **data)
                sizes.setdefault(same.key, experiment)
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


def as_text(experiments: Sequence[Experiment]) -> Iterator[str]:
    """The plans of experiments as tables in GiB, as each is made, with what to change where one does not fit."""
    for experiment in experiments:
        plans = {d: plan(experiment, d) if supports(experiment, d) else None for d in (detect(), *GPUS)}
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
        texts |= {"precision": planned.experiment.precision, "verdict": fit_text(planned)}
        texts |= dict(zip(PART_NAMES, map(gibibytes, planned.parts.values()), strict=True))
        texts["peak_gib"] = gibibytes(planned.peak)
        if planned.experiment.max_length and device.memory:
            texts["largest_batch"] = number(largest_batch(planned.experiment, device, ROOM * device.memory), 0)
    return {message(key): text for key, text in texts.items()}
