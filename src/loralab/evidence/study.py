"""The study: each method at its own best learning rate, then everything that the lessons compare, with many seeds."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TypeVar

from loralab.evidence.protocol import at_rate, other_methods, rates_tried, scale_comparison, target_comparison
from loralab.evidence.timing import Timing, race
from loralab.evidence.update import Update, updates
from loralab.experiment import RECIPE, Experiment, Result
from loralab.files import write_atomically
from loralab.messages import message, scientific
from loralab.profiles import Profile, Track, load_profile
from loralab.show.scores import SCORES, Score
from loralab.train.run import results_dir, run, run_folder

T = TypeVar("T", bound=Track)
REFERENCE = "study"  # the profile whose results are in data/reference


class MissingResult(ValueError):
    """A result that should be there and is not."""


@dataclass(frozen=True)
class Sweep:
    """The learning rates that a method was tried with, by rate, and the one with the lowest validation loss."""

    results: Sequence[Result]
    extended: bool

    @property
    def method(self) -> str:
        """The method."""
        return self.results[0].experiment.method

    @property
    def losses(self) -> dict[float, float]:
        """Validation loss (nats) after the last epoch by rate, from low to high."""
        losses = {result.experiment.learning_rate: result.epochs[-1]["loss"] for result in self.results}
        return {rate: losses[rate] for rate in sorted(losses)}

    @property
    def best(self) -> float:
        """The rate with the lowest loss."""
        return min(self.losses, key=self.losses.__getitem__)

    @property
    def step(self) -> float:
        """The largest factor between the best rate and a neighbour."""
        rates, best = sorted(self.losses), self.best
        place = rates.index(best)
        return max(max(best / rate, rate / best) for rate in rates[max(0, place - 1) : place + 2])

    @property
    def at_edge(self) -> bool:
        """Whether the best is the lowest or the highest rate tried, so that a better one may lie beyond."""
        return self.best in (min(self.losses), max(self.losses))


def beyond(losses: dict[float, float]) -> float | None:
    """The rate to try next, as far beyond the best as its neighbour is from it; None if the best is inside.

    `losses` (nats) are by rate.
    """
    rates = sorted(losses)
    best = min(rates, key=losses.__getitem__)
    if best not in (rates[0], rates[-1]) or len(rates) == 1:
        return None
    return best * best / (rates[1] if best == rates[0] else rates[-2])


def sweep(track: Track, method: str, run: Callable[[Experiment], Result] = run) -> Sweep:
    """Try the method's rates; if the lowest loss is at the edge, one rate more beyond it.

    A rate at which training diverges is said and left out. Raises ValueError if all are.
    """

    def attempt(experiment: Experiment) -> list[Result]:
        try:
            return [run(experiment)]
        except FloatingPointError as error:  # an answer to what was asked: the rate is too high
            print(error)
            return []

    tried = Sweep([r for experiment in rates_tried(track, method) for r in attempt(experiment)], extended=False)
    if not tried.results:
        rates = ", ".join(map(scientific, track.sweep[method]))
        raise ValueError(message("sweep_diverges", method=message(method), rates=rates))
    further = beyond(tried.losses)
    more = attempt(at_rate(track, method, further)) if further is not None else []
    return Sweep([*tried.results, *more], extended=True) if more else tried


def tuned(track: T, sweeps: Sequence[Sweep]) -> T:
    """The track with the learning rates that sweeps found."""
    return replace(track, learning_rates=track.learning_rates | {tried.method: tried.best for tried in sweeps})


@dataclass(frozen=True)
class Evidence:
    """What a track's experiments gave, and the track with the learning rates that they were run at.

    `timing` and `updates` are the study's alone.
    """

    track: Track
    comparison: Sequence[Result]
    ranks: Sequence[Result] = ()
    sweeps: Sequence[Sweep] = ()
    scales: Sequence[Result] = ()
    targets: Sequence[Result] = ()
    others: Sequence[Result] = ()
    timing: Timing | None = None
    updates: Sequence[Update] = ()

    @property
    def score(self) -> Score:
        """How the track's methods are compared."""
        return SCORES[self.track.task]

    @property
    def results(self) -> list[Result]:
        """Every result, each once."""
        swept = [result for tried in self.sweeps for result in tried.results]
        every = [*swept, *self.comparison, *self.ranks, *self.scales, *self.targets, *self.others]
        return list({result.experiment.key: result for result in every}.values())

    def at_rank(self, rank: int) -> list[Result]:
        """The rank comparison's results of that rank."""
        return [result for result in self.ranks if result.experiment.rank == rank]

    def of(self, method: str) -> list[Result]:
        """The comparison's results of that method."""
        return [result for result in self.comparison if result.experiment.method == method]


def gather(track: Track, run: Callable[[Experiment], Result] = run) -> Evidence:
    """Everything that a track compares: run, or loaded if it was run before.

    A track without sweeps has the lessons' comparisons and its own rates.
    """
    sweeps = [sweep(track, method, run) for method in track.sweep]
    track = tuned(track, sweeps)

    def every(experiments: Sequence[Experiment]) -> list[Result]:
        return [run(experiment) for experiment in experiments]

    return Evidence(
        track=track,
        sweeps=sweeps,
        comparison=every(track.comparison()),
        ranks=every(track.rank_comparison()),
        scales=every(scale_comparison(track) if sweeps else []),
        targets=every(target_comparison(track) if sweeps else []),
        others=every(other_methods(track) if sweeps else []),
    )


def scale_groups(evidence: Evidence) -> dict[str, list[Result]]:
    """The runs of each scale rule, with the seeds that all of them have; alpha fixed, proportional, rank-stabilised."""
    ranks = {r.experiment.rank for r in evidence.scales} | {evidence.track.rank}
    seeds = {r.experiment.seed for r in evidence.scales}
    fixed = [r for r in evidence.ranks if r.experiment.rank in ranks and r.experiment.seed in seeds]
    shared = [r for r in fixed if r.experiment.rank == evidence.track.rank]
    others = {
        "scale_proportional": [r for r in evidence.scales if r.experiment.method == "lora"],
        "scale_root": [r for r in evidence.scales if r.experiment.method == "rslora"],
    }
    return {"scale_fixed": fixed} | {rule: [*shared, *runs] for rule, runs in others.items()}


def measured_name(evidence: Evidence) -> str:
    """The file of what `measure_study` found, beside the report."""
    return f"measured-{evidence.track.task}.json"


def measure_study(evidence: Evidence, folder: Path) -> Evidence:
    """The evidence with what is measured on finished runs: steps timed in turns, and what is inside the updates.

    Read from `folder` if this recipe left it there. Updates need the runs' weights, which a large model does not leave.
    """
    path = folder / measured_name(evidence)
    if not path.exists() or json.loads(path.read_text(encoding="utf-8")).get("recipe", 1) != RECIPE:
        inside: list[Update] = []
        if evidence.track.task == "classification":
            for full, lora in zip(evidence.of("full"), evidence.of("lora"), strict=True):
                inside += updates(full.experiment, lora.experiment, run_folder)
        content = {"recipe": RECIPE, "timing": asdict(race(evidence.track)), "updates": list(map(asdict, inside))}
        write_atomically(path, json.dumps(content))
    return with_measured(evidence, folder)


def with_measured(evidence: Evidence, folder: Path) -> Evidence:
    """The evidence with what `measure_study` left in the folder, if it did."""
    path = folder / measured_name(evidence)
    if not path.exists():
        return evidence
    content = json.loads(path.read_text(encoding="utf-8"))
    inside = [Update(**update) for update in content["updates"]]
    return replace(evidence, timing=Timing(**content["timing"]), updates=inside)


def recorded(folder: Path) -> Callable[[Experiment], Result]:
    """A stand-in for `run` that only reads results from a folder.

    It raises MissingResult, naming the experiment and its seed, for one in whose place there is none, or another's.
    """

    def read(experiment: Experiment) -> Result:
        path = folder / "runs" / experiment.key / "result.json"
        result = Result.load(path) if path.exists() else None
        if result is None or result.experiment.identity() != experiment.identity():
            missing = f"The result of {experiment.key} (seed {experiment.seed}) is missing."
            raise MissingResult(f"{missing} A study that lacks a seed is not used: run make study.")
        return result

    return read


def at_hand(name: str, folder: Path) -> list[Evidence]:
    """A profile's evidence, both tracks, from the results in a folder. Raises what `recorded` and `check_one` raise."""
    profile = load_profile(name)
    tracks = []
    for track in (profile, profile.generation):
        evidence = with_measured(gather(track, recorded(folder)), folder / name)
        check_one(evidence.results)
        tracks.append(evidence)
    return tracks


def reference() -> list[Evidence]:
    """The published study, both tracks (data/reference). Raises what `at_hand` raises."""
    with as_file(files("loralab_data").joinpath("reference")) as folder:
        return at_hand(REFERENCE, folder)


def full_study(profile: Profile) -> list[Evidence]:
    """A profile's evidence, both tracks: run or loaded, and measured too if it is a study."""
    tracks = []
    for track in (profile, profile.generation):
        evidence = gather(track)
        tracks.append(measure_study(evidence, results_dir() / profile.name) if evidence.sweeps else evidence)
    return tracks


def check_one(results: Sequence[Result]) -> None:
    """Raises ValueError if the results are not of one recipe, data and weights; who asked for them does not matter."""
    for name in ("recipe", "data", "weights"):
        values = {result.provenance.get(name) for result in results} - {None}
        if len(values) > 1:
            raise ValueError(message("mixed_results", what=message(name), found=", ".join(sorted(map(str, values)))))
