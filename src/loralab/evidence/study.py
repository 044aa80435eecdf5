"""The study: each method at its own best learning rate, then everything that the lessons compare, with many seeds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

from loralab.evidence.protocol import HASH, STUDY, beside, other_methods, places, searches, target_comparison
from loralab.evidence.sweeps import Each, Sweep, by_name, one_by_one, sweeps
from loralab.evidence.timing import Timing
from loralab.evidence.update import Update
from loralab.experiment import RECIPE, Experiment, Result
from loralab.messages import message
from loralab.profiles import Track, load_profile
from loralab.show.scores import SCORES, Score
from loralab.train.run import run

T = TypeVar("T", bound=Track)
DIVERGED = "diverged.txt"  # what a run of a sweep that diverged leaves in the place of a result


def tuned(track: T, sweeps: Sequence[Sweep]) -> T:
    """The track with the learning rates that sweeps found."""
    return replace(track, learning_rates=track.learning_rates | {tried.method: tried.best for tried in sweeps})


@dataclass(frozen=True)
class Evidence:
    """What a track's experiments gave, and the track with the learning rates that they were run at.

    `timing`, `updates` and `planned` (the peak of a step in bytes, `full` and `lora`, by place, rows and length) are
    the study's alone; so are the sweeps of LoRA's other places, and those that go on in finer steps.
    """

    track: Track
    comparison: Sequence[Result]
    ranks: Sequence[Result] = ()
    sweeps: Sequence[Sweep] = ()
    elsewhere: Sequence[Sweep] = ()
    finer: Sequence[Sweep] = ()
    targets: Sequence[Result] = ()
    others: Sequence[Result] = ()
    timing: Timing | None = None
    updates: Sequence[Update] = ()
    planned: Sequence[Mapping[str, Any]] = ()

    @property
    def score(self) -> Score:
        """How the track's methods are compared."""
        return SCORES[self.track.task]

    @property
    def results(self) -> list[Result]:
        """Every result, each once."""
        swept = [result for tried in (*self.sweeps, *self.elsewhere, *self.finer) for result in tried.results]
        every = [*swept, *self.comparison, *self.ranks, *self.targets, *self.others]
        return list({result.experiment.key: result for result in every}.values())

    def of(self, method: str) -> list[Result]:
        """The comparison's results of that method."""
        return [result for result in self.comparison if result.experiment.method == method]

    @property
    def places(self) -> dict[str, list[Result]]:
        """LoRA's runs by the name of the place that it is at."""
        runs, found = [*self.of("lora"), *self.ranks, *self.targets], {}
        for name, changes in places(self.track).items():
            wanted = self.track.experiment("lora", **changes)
            here = [r for r in runs if _at(r.experiment) == _at(wanted)]
            found[name] = list({r.experiment.seed: r for r in here}.values())
        return {name: runs for name, runs in found.items() if runs}


def _at(experiment: Experiment) -> tuple[object, ...]:
    return experiment.rank, experiment.target_modules, experiment.alpha


def gather(track: Track, each: Each | None = None) -> Evidence:
    """Everything that a track compares: run, or loaded if it was run before.

    A track without sweeps has the lessons' comparisons and its own rates.
    """
    each = each or one_by_one(run)
    found = sweeps(searches(track), each)
    methods, elsewhere = ([s for s in found.values() if bool(s.place) == other] for other in (False, True))
    track = tuned(track, methods)
    rates = {_at(s.results[0].experiment): s.best for s in elsewhere}

    def at_own_rates(experiments: Sequence[Experiment]) -> list[Experiment]:
        return [e.but(learning_rate=rates.get(_at(e), e.learning_rate)) for e in experiments]

    finest = [s for s in methods if s.method in ("full", "lora")]
    best = [next(r.experiment for r in s.results if r.experiment.learning_rate == s.best) for s in finest]
    lists = {e.method: beside(e) for e in best} | {
        "targets": at_own_rates(target_comparison(track)) if found else [],
        "others": other_methods(track) if found else [],
        "ranks": at_own_rates(track.rank_comparison()),
        "comparison": track.comparison(),
    }
    results: dict[str, Any] = by_name(lists, each)
    finer = [Sweep([*s.results, *results.pop(s.method)], s.extended) for s in finest]
    return Evidence(track=track, sweeps=methods, elsewhere=elsewhere, finer=finer, **results)


def measured_name(evidence: Evidence) -> str:
    """The file of what is measured on finished runs, beside the report."""
    return f"measured-{evidence.track.task}.json"


def with_measured(evidence: Evidence, folder: Path) -> Evidence:
    """The evidence with what notebooks/run_study.py left in the folder, if it did."""
    path = folder / measured_name(evidence)
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not {"recipe": RECIPE, "protocol": HASH}.items() <= content.items():
        return evidence
    inside = [Update(**update) for update in content["updates"]]
    return replace(evidence, timing=Timing(**content["timing"]), updates=inside, planned=content["planned"])


def recorded(folder: Path) -> Callable[[Experiment], Result]:
    """A stand-in for `run` that only reads results from a folder, and FloatingPointError where one diverged.

    It raises ValueError, naming the experiment and its seed, for one in whose place there is none, or another's.
    """

    def read(experiment: Experiment) -> Result:
        path = folder / "runs" / experiment.key / "result.json"
        note = path.with_name(DIVERGED)
        if not path.exists() and note.exists() and note.read_text(encoding="utf-8").startswith(HASH):
            raise FloatingPointError(note.read_text(encoding="utf-8"))
        result = Result.load(path) if path.exists() else None
        if result is None or result.experiment.identity() != experiment.identity():
            missing = f"The result of {experiment.key} (seed {experiment.seed}) is missing."
            raise ValueError(f"{missing} A study that lacks a seed is not used: run make study.")
        return result

    return read


def at_hand(folder: Path) -> list[Evidence]:
    """The study's evidence, both tracks, from the results in a folder. Raises what `recorded` and `check_one` raise."""
    profile = load_profile(STUDY)
    tracks = []
    for track in (profile, profile.generation):
        evidence = with_measured(gather(track, one_by_one(recorded(folder))), folder / STUDY)
        check_one(evidence.results, HASH)
        tracks.append(evidence)
    return tracks


def reference() -> list[Evidence]:
    """The published study, both tracks (data/reference). Raises what `at_hand` raises."""
    with as_file(files("loralab_data").joinpath("reference")) as folder:
        return at_hand(folder)


def check_one(results: Sequence[Result], protocol: str | None = None) -> None:
    """Raises ValueError if the results are not of one recipe, data, weights and protocol, or of another than is given.

    Who asked for them does not matter.
    """
    for name in ("recipe", "data", "weights", "protocol"):
        values = {result.provenance.get(name) for result in results} - {None}
        if protocol and name == "protocol":  # here a result that has none is of another too
            values = {protocol, *(result.provenance.get(name, "–") for result in results)}
        if len(values) > 1:
            found = ", ".join(sorted(map(str, values)))
            raise ValueError(message("mixed_results", what=message(name), found=found))
