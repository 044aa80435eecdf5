"""What a study runs beside the lessons' comparisons, as lists of experiments, and by which rules: protocol.toml."""

import hashlib
import tomllib
from importlib.resources import files
from typing import Any

from loralab.experiment import Experiment
from loralab.messages import message
from loralab.profiles import Track

STUDY = "study"  # the profile that the protocol describes
_TEXT = files("loralab.evidence").joinpath("protocol.toml").read_bytes()
# Every result of the study carries it, and a result of another protocol is set aside.
HASH = hashlib.sha256(_TEXT).hexdigest()[:12]
_SAID = tomllib.loads(_TEXT.decode())
MARGINS, RULES, MEMORY = (_SAID[name] for name in ("margins", "rules", "memory"))
# Names for the profile's `targets`.
TARGETS = {
    "attention": "target_attention", "all-linear": "target_all-linear", "query-value": "target_query-value",
}  # fmt: skip


def places(track: Track) -> dict[str, dict[str, Any]]:
    """Where LoRA is tried, by name: at each rank, and on other modules; and how its experiment differs there."""
    ranks: dict[str, dict[str, Any]] = {f"r = {rank}": {"rank": rank} for rank in track.ranks}
    return ranks | {name: {"target_modules": modules} for name, modules in track.targets.items()}


def place_name(name: str) -> str:
    """A place's name in the reader's language."""
    return message(TARGETS[name]) if name in TARGETS else name


def default_name(track: Track) -> str:
    """The name, in the reader's language, of the modules that LoRA is on if nothing else is said."""
    return message({"classification": "target_default", "generation": "target_all-linear"}[track.task])


def at_rate(track: Track, method: str, rate: float, **place: Any) -> Experiment:
    """One run of a sweep: validation alone, with a seed that no comparison uses."""
    return track.experiment(method, learning_rate=rate, seed=max(track.seeds) + 1, examined=False, **place)


def searches(track: Track) -> dict[str, list[Experiment]]:
    """Each sweep's runs by the method's name or, for LoRA elsewhere than at the track's own rank, by the place's."""
    found = {method: [at_rate(track, method, rate) for rate in rates] for method, rates in track.sweep.items()}
    if "lora" in track.sweep:
        others = {name: changes for name, changes in places(track).items() if changes != {"rank": track.rank}}
        for name, changes in others.items():
            found[name] = [at_rate(track, "lora", rate, **changes) for rate in track.sweep["lora"]]
    return found


def beside(best: Experiment) -> list[Experiment]:
    """The two runs that tell more finely where the best rate lies."""
    rates = (best.learning_rate / RULES["finer"], best.learning_rate * RULES["finer"])
    return [best.but(learning_rate=float(f"{rate:.4g}")) for rate in rates]


def target_comparison(track: Track) -> list[Experiment]:
    """LoRA of the same rank on other modules."""
    chosen = [(modules, seed) for modules in track.targets.values() for seed in track.seeds]
    return [track.experiment("lora", target_modules=modules, seed=seed) for modules, seed in chosen]


def other_methods(track: Track) -> list[Experiment]:
    """One run of each other method."""
    return [track.experiment(method) for method in track.methods]


def every_experiment(track: Track) -> list[Experiment]:
    """All that the track runs: the lessons' comparisons, and what a study adds to them."""
    swept = [experiment for found in searches(track).values() for experiment in found]
    added = [*swept, *target_comparison(track), *other_methods(track)] if swept else []
    return [*track.comparison(), *track.rank_comparison(), *added]
