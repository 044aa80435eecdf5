"""Published results and those at hand: compare them, number by number, or put the second in place of the first.

Published are the study's, and the lessons' (profile cpu), which the committed notebooks show. To compare, one run of
each kind of the study is made again here, with all of this machine's threads; the lessons' are at hand after
`make course`. A number is the same, within the published interval, or different; with one that is different the exit
code is 1.

    python notebooks/published.py check --language es
    python notebooks/published.py replace study
    python notebooks/published.py replace cpu
"""

import argparse
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

import pandas as pd
from build import NOTEBOOKS

from loralab.evidence.protocol import STUDY
from loralab.evidence.study import DIVERGED, Evidence, at_hand, measured_name, recorded
from loralab.experiment import RECIPE, Experiment, Result
from loralab.messages import LANGUAGES, message, number, set_language
from loralab.show.scores import method_name, own_score, score_of
from loralab.show.stats import seed_factor
from loralab.show.tables import grouped, peak_bytes
from loralab.train.run import results_dir, run

PUBLISHED = NOTEBOOKS.parent / "data" / "reference"
LESSONS = "cpu"
SAME, WITHIN, DIFFERENT = "same", "within", "different"
# Losses that agree this far are the same training: another number of threads changes the eighth digit.
ROUNDING = 1e-6
MEMORY = 0.02  # of the peak: a library's version may allocate a little more


def state(mine: float, theirs: float, half: float) -> str:
    """Same, within ±half, or different."""
    gap = abs(mine - theirs)
    if gap <= ROUNDING * max(1.0, abs(theirs)):
        return SAME
    return WITHIN if gap <= half else DIFFERENT


def next_run(values: Sequence[float]) -> float:
    """Half of the interval in which one more of k runs falls 95 % of the time: t·SD·√(1 + 1/k)."""
    return seed_factor(len(values)) * math.sqrt(len(values) + 1) * stdev(values)


def band(group: Sequence[Result]) -> float:
    """How far another run may be off and still be like the published group's (score's unit).

    `next_run` of its seeds; with one seed, the exam's luck alone, twice, as both runs have it.
    """
    score = score_of(group)
    values = [result.test[score.name] for result in group]
    return next_run(values) if len(values) > 1 else math.sqrt(2) * own_score(group).half()


def validation_band(groups: Iterable[Sequence[Result]]) -> float:
    """`band` for a sweep's last validation loss (nats), which has one seed: the widest of the groups with several."""
    several = [group for group in groups if len(group) > 1 and group[0].epochs]
    return max(next_run([result.epochs[-1]["loss"] for result in group]) for group in several)


def group_key(result: Result) -> tuple[Any, ...]:
    """What runs of one group share: everything that decides the outcome, but the seed."""
    return tuple(sorted((k, str(v)) for k, v in result.experiment.identity().items() if k != "seed"))


def compare_results(mine: Sequence[Result], theirs: Sequence[Result]) -> pd.DataFrame:
    """One row a number of each published result that is at hand too: what, published, here, state."""
    by_key = {result.experiment.key: result for result in theirs}
    groups, rows = grouped(theirs, group_key), []
    for own in mine:
        published = by_key[own.experiment.key]
        pairs: list[tuple[str, float, float, float]] = []
        if published.test:
            score = score_of([published]).name
            if score in published.test:
                scores = published.test[score], own.test[score]
                name = message("accuracy" if score == "accuracy" else "answer_loss")
                pairs.append((name, *scores, band(groups[group_key(published)])))
        else:
            same_task = [g for g in groups.values() if g[0].experiment.task == published.experiment.task]
            losses = published.epochs[-1]["loss"], own.epochs[-1]["loss"]
            pairs.append((message("validation_loss_axis"), *losses, validation_band(same_task)))
        if published.parameters:
            trained, own_trained = published.parameters["trainable"], own.parameters["trainable"]
            pairs.append((message("trainable"), trained, own_trained, 0.0))
            peak = peak_bytes(published)
            pairs.append((message("check_peak"), peak, peak_bytes(own), MEMORY * peak))
        for name, theirs_value, own_value, half in pairs:
            rows.append(
                {
                    "result": f"{published.experiment.key} ({method_name(published)})",
                    "number": name,
                    "published": number(theirs_value, 0 if theirs_value > 1000 else 4),
                    "here": number(own_value, 0 if theirs_value > 1000 else 4),
                    "state": state(own_value, theirs_value, half),
                }
            )
    return pd.DataFrame(rows)


def environment(mine: Sequence[Result], theirs: Sequence[Result]) -> list[str]:
    """What differs between the two in recipe, device, threads and versions, each as a line."""
    pairs = {}
    for name in ("recipe", "device", "threads"):
        values = [sorted({str(result.provenance.get(name, "–")) for result in results}) for results in (theirs, mine)]
        pairs[name] = [", ".join(each) for each in values]
    versions = [[result.provenance["versions"] for result in results] for results in (theirs, mine)]
    for name in sorted({name for each in versions for found in each for name in found}):
        pairs[name] = [", ".join(sorted({found.get(name, "–") for found in each})) for each in versions]
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return [message("check_differs", name=name, published=a, here=b) for name, (a, b) in differing.items()]


def run_again(evidence: Sequence[Evidence], run: Callable[[Experiment], Result] = run) -> list[Result]:
    """The first run of each method that the tasks train, made again, apart from the results at hand."""
    kinds = {(r.experiment.task, r.experiment.method): r for track in evidence for r in reversed(track.comparison)}
    trained = [result.experiment for result in kinds.values() if result.experiment.trains]
    before = os.environ.get("LORALAB_RESULTS")
    os.environ["LORALAB_RESULTS"] = str(results_dir() / "again")
    try:
        return [run(experiment) for experiment in reversed(trained)]
    finally:
        os.environ.pop("LORALAB_RESULTS")
        os.environ |= {"LORALAB_RESULTS": before} if before is not None else {}


def check_results(theirs: Sequence[Result], folder: Path, again: Sequence[Result]) -> tuple[str, int]:
    """Compare what the results folder has of the published results, and what was run again, with them.

    Returns the text, in the language in force, and the exit code: 0 if every number is the same or within the published
    interval, 1 if one is different.
    """
    read = recorded(folder)
    at_hand = [read(r.experiment) for r in theirs if (folder / "runs" / r.experiment.key / "result.json").exists()]
    mine = [*again, *at_hand]
    table = compare_results(mine, theirs)
    states = table["state"]
    counts = {name: int((states == name).sum()) for name in (SAME, WITHIN, DIFFERENT)}
    words = {WITHIN: message("check_within"), DIFFERENT: message("check_different")}
    shown = table[states != SAME].assign(state=states.map(words))
    heads = ("check_result", "check_number", "check_published", "check_here", "check_state")
    shown.columns = pd.Index(map(message, heads))
    lines = [shown.map(str).to_string(index=False)] if counts[SAME] < len(table) else []
    lines += [message("check_counts", again=len(again), here=len(at_hand), all=len(theirs), **counts)]
    return "\n".join([*lines, *environment(mine, theirs)]), int(counts[DIFFERENT] > 0)


def lessons_results(folder: Path) -> list[Result]:
    """The results of the lessons' profile in a folder."""
    results = [Result.load(path) for path in sorted(folder.glob("runs/*/result.json"))]
    return [result for result in results if result.experiment.profile == LESSONS]


def publish(results: Sequence[Result], beside: Sequence[Path], source: Path, folder: Path) -> None:
    """Copy results, and files beside them, from a results folder to a published one, in place of what that held.

    Raises ValueError, naming them, if files are missing; then nothing is replaced. A README.md stays.
    """
    paths = [*(Path("runs") / result.experiment.key / "result.json" for result in results), *beside]
    if missing := [path.as_posix() for path in paths if not (source / path).exists()]:
        raise ValueError(f"{', '.join(missing)} is missing in the results: make study leaves it.")
    for old in {path.parts[0] for path in paths}:
        shutil.rmtree(folder / old, ignore_errors=True)
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)


def publish_study(evidence: Sequence[Evidence], source: Path, folder: Path) -> None:
    """Publish the study's results, with what was measured on them, and the notes of rates that diverged."""
    results = [result for track in evidence for result in track.results]
    keys = {result.experiment.key for result in results}
    notes = [note for note in sorted((source / "runs").glob(f"*/{DIVERGED}")) if note.parent.name not in keys]
    measured = [Path(STUDY) / measured_name(track) for track in evidence]
    publish(results, [*measured, *(note.relative_to(source) for note in notes)], source, folder)


def main(arguments: list[str]) -> int:
    """Run one of the two commands; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("--language", choices=LANGUAGES, default="en")
    commands.add_parser("replace").add_argument("what", choices=(STUDY, LESSONS))
    options = parser.parse_args(arguments)
    try:
        if options.command == "check":
            set_language(options.language)
            evidence = at_hand(PUBLISHED)
            theirs = [*(r for track in evidence for r in track.results), *lessons_results(PUBLISHED / LESSONS)]
            text, code = check_results(theirs, results_dir(), run_again(evidence))
            print(text)
            return code
        if options.what == STUDY:
            publish_study(at_hand(results_dir()), results_dir(), PUBLISHED)
        else:
            of_today = [r for r in lessons_results(results_dir()) if r.provenance["recipe"] == RECIPE]
            if not of_today:
                raise ValueError(
                    f"No result of profile {LESSONS} and today's recipe is there: make notebooks leaves them."
                )
            publish(of_today, [], results_dir(), PUBLISHED / LESSONS)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
