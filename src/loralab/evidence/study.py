"""The study: each method at its own best learning rate, then everything that the lessons compare, with many seeds."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import as_file, files
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch

from loralab.evidence.protocol import (
    HASH,
    MEMORY,
    STUDY,
    beside,
    other_methods,
    places,
    searches,
    target_comparison,
)
from loralab.evidence.sweeps import Each, Sweep, by_name, one_by_one, sweeps
from loralab.evidence.timing import Timing, race
from loralab.evidence.update import Update, updates
from loralab.experiment import RECIPE, Experiment, Result
from loralab.files import write_atomically
from loralab.memory.planning import peaks
from loralab.messages import message
from loralab.profiles import Profile, Track, load_profile
from loralab.show.scores import SCORES, Score
from loralab.train.hardware import detect
from loralab.train.run import results_dir, run, run_folder

T = TypeVar("T", bound=Track)
REFERENCE = "first-study"  # the profile whose results are in data/reference
AT_ONCE = 2  # of the study's runs, with one thread each: two threads on one run do a third less in the same time


class MissingResult(ValueError):
    """A result that should be there and is not."""


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
    planned: Sequence[Mapping[str, Any]] = field(default=())

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

    finest = [s for s in methods if s.method in ("full", "lora")] if track.name == STUDY else []
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
    """The file of what `measure_study` found, beside the report."""
    return f"measured-{evidence.track.task}.json"


def measure_study(evidence: Evidence, folder: Path) -> Evidence:
    """The evidence with what is measured on finished runs: steps timed in turns, the plan, what is inside the updates.

    Read from `folder` if this recipe and protocol left it there. Updates need the runs' weights, which a large model
    does not leave.
    """
    path = folder / measured_name(evidence)
    if not path.exists() or not _of_this_study(json.loads(path.read_text(encoding="utf-8"))):
        at = {name: runs[0].experiment for name, runs in evidence.places.items()}
        timed = {method: evidence.track.experiment(method) for method in ("full", "lora", *evidence.track.methods)}
        timed |= {name: e for name, e in at.items() if e.key != timed["lora"].key}
        inside = [u for full, lora in compared(evidence) for u in updates(full, lora, run_folder)]
        content = {
            "recipe": RECIPE, "protocol": HASH, "timing": asdict(race(timed)), "updates": list(map(asdict, inside)),
            "planned": planned(timed["full"], at),
        }  # fmt: skip
        write_atomically(path, json.dumps(content))
    return with_measured(evidence, folder)


def _of_this_study(measured: Mapping[str, Any]) -> bool:
    return measured.get("recipe") == RECIPE and measured.get("protocol") == HASH


def compared(evidence: Evidence) -> list[tuple[Experiment, Experiment]]:
    """The pairs of runs, full fine-tuning's and LoRA's, whose updates are looked into: classification's."""
    pairs = zip(evidence.of("full"), evidence.of("lora"), strict=True)
    return [(full.experiment, lora.experiment) for full, lora in pairs if evidence.track.task == "classification"]


def planned(full: Experiment, lora: Mapping[str, Experiment]) -> list[dict[str, Any]]:
    """The planned peak (bytes) of a step of full fine-tuning and of LoRA, at each place, by the protocol's batches."""
    grid, found = MEMORY[full.task], []
    for length in grid["lengths"]:
        whole = peaks(full, detect(), grid["rows"], length)
        for place, experiment in lora.items():
            pairs = zip(grid["rows"], whole, peaks(experiment, detect(), grid["rows"], length), strict=True)
            found += [{"place": place, "rows": r, "length": length, "full": f, "lora": p} for r, f, p in pairs]
    return found


def with_measured(evidence: Evidence, folder: Path) -> Evidence:
    """The evidence with what `measure_study` left in the folder, if it did."""
    path = folder / measured_name(evidence)
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not content or (evidence.track.name == STUDY and not _of_this_study(content)):
        return evidence
    inside = [Update(**update) for update in content["updates"]]
    return replace(evidence, timing=Timing(**content["timing"]), updates=inside, planned=content.get("planned", ()))


def recorded(folder: Path) -> Callable[[Experiment], Result]:
    """A stand-in for `run` that only reads results from a folder, and FloatingPointError where one diverged.

    It raises MissingResult, naming the experiment and its seed, for one in whose place there is none, or another's.
    """

    def read(experiment: Experiment) -> Result:
        path = folder / "runs" / experiment.key / "result.json"
        note = path.with_name(DIVERGED)
        if not path.exists() and note.exists() and note.read_text(encoding="utf-8").startswith(HASH):
            raise FloatingPointError(note.read_text(encoding="utf-8"))
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
        evidence = with_measured(gather(track, one_by_one(recorded(folder))), folder / name)
        check_one(evidence.results, HASH if name == STUDY else None)
        tracks.append(evidence)
    return tracks


def reference() -> list[Evidence]:
    """The published study, both tracks (data/reference). Raises what `at_hand` raises."""
    with as_file(files("loralab_data").joinpath("reference")) as folder:
        return at_hand(REFERENCE, folder)


DIVERGED = "diverged.txt"


def run_by_protocol(experiment: Experiment) -> Result | None:
    """One run of the study, with the protocol's hash; None, and a note in its folder, if one of a sweep diverges."""
    try:
        return run(experiment, notes={"protocol": HASH})
    except FloatingPointError as error:
        if experiment.examined:
            raise
        write_atomically(run_folder(experiment) / DIVERGED, f"{HASH}: {error}")
        return None


def _has_weights(experiment: Experiment) -> bool:
    return any(run_folder(experiment).rglob("*.safetensors"))


def _run_anew(experiment: Experiment) -> None:
    (run_folder(experiment) / "result.json").unlink()
    run_by_protocol(experiment)


def _one_thread() -> None:
    torch.set_num_threads(1)
    parent = os.getppid()

    def watch() -> None:  # a study that is killed leaves no workers behind, to run beside the next one
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def full_study(profile: Profile) -> list[Evidence]:
    """A profile's evidence, both tracks: run or loaded; if it is the study, some runs at once, and measured too."""
    tracks = (profile, profile.generation)
    if profile.name != STUDY:
        return list(map(gather, tracks))
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        found = [gather(track, lambda experiments: list(pool.map(run_by_protocol, experiments))) for track in tracks]
        # Results that came from elsewhere lack the weights that are looked into.
        lost = [e for evidence in found for pair in compared(evidence) for e in pair if not _has_weights(e)]
        list(pool.map(_run_anew, lost))
    return [measure_study(evidence, results_dir() / profile.name) for evidence in found]


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
