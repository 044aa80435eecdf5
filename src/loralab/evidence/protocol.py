"""What a study runs beside the lessons' comparisons, as lists of experiments."""

import math

from loralab.experiment import Experiment
from loralab.profiles import Track

# Seeds of what is beside the main comparisons.
FEW = 3


def rates_tried(track: Track, method: str) -> list[Experiment]:
    """The method's sweep: validation alone, with a seed that no comparison uses."""
    return [at_rate(track, method, rate) for rate in track.sweep[method]]


def at_rate(track: Track, method: str, rate: float) -> Experiment:
    """One run of a sweep."""
    return track.experiment(method, learning_rate=rate, seed=max(track.seeds) + 1, examined=False)


def scale_comparison(track: Track) -> list[Experiment]:
    """The lowest and the highest rank by the two other scale rules, which agree with alpha fixed at `track.rank`."""
    rank, alpha = track.rank, track.settings["alpha"]
    others = [
        experiment
        for r in sorted({min(track.ranks), max(track.ranks)} - {rank})
        for experiment in (
            track.experiment("lora", rank=r, alpha=alpha * r / rank),
            track.experiment("rslora", rank=r, alpha=alpha / math.sqrt(rank)),
        )
    ]
    return [experiment.but(seed=seed) for experiment in others for seed in track.seeds[:FEW]]


def target_comparison(track: Track) -> list[Experiment]:
    """LoRA of the same rank on other modules, with the first seeds."""
    chosen = [(modules, seed) for modules in track.targets.values() for seed in track.seeds[:FEW]]
    return [track.experiment("lora", target_modules=modules, seed=seed) for modules, seed in chosen]


def other_methods(track: Track) -> list[Experiment]:
    """One run of each other method."""
    return [track.experiment(method) for method in track.methods]


def every_experiment(track: Track) -> list[Experiment]:
    """All that the track runs: the lessons' comparisons, and what a study adds to them."""
    swept = [experiment for method in track.sweep for experiment in rates_tried(track, method)]
    added = [*swept, *scale_comparison(track), *target_comparison(track), *other_methods(track)] if swept else []
    return [*track.comparison(), *track.rank_comparison(), *added]
