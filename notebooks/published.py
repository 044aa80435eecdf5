"""The published study and the one at hand: compare them, number by number, or put the second in place of the first.

To compare, one run of each kind is made again here, with all of this machine's threads. A number is the same, within
the published interval, or different; with one that is different the exit code is 1.

    python notebooks/published.py check
    python notebooks/published.py replace
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

from loralab.evidence.study import DIVERGED, REFERENCE, Evidence, at_hand, measured_name, recorded, reference
from loralab.experiment import Experiment, Result
from loralab.messages import number
from loralab.show.scores import method_name, own_score, score_of
from loralab.show.stats import seed_factor
from loralab.show.tables import grouped, peak_bytes
from loralab.train.run import results_dir, run

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
                pairs.append((f"test {score}", *scores, band(groups[group_key(published)])))
        else:
            same_task = [g for g in groups.values() if g[0].experiment.task == published.experiment.task]
            losses = published.epochs[-1]["loss"], own.epochs[-1]["loss"]
            pairs.append(("validation loss (nats)", *losses, validation_band(same_task)))
        if published.parameters:
            trained, own_trained = published.parameters["trainable"], own.parameters["trainable"]
            pairs.append(("trainable parameters", trained, own_trained, 0.0))
            peak = peak_bytes(published)
            pairs.append(("peak memory (bytes)", peak, peak_bytes(own), MEMORY * peak))
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
    """What differs between the two in recipe, device and versions, each as a line."""
    pairs = {}
    for name in ("recipe", "device", "threads"):
        values = [sorted({str(result.provenance.get(name, "–")) for result in results}) for results in (theirs, mine)]
        pairs[name] = [", ".join(each) for each in values]
    versions = [results[0].provenance["versions"] for results in (theirs, mine)]
    pairs |= {name: [each.get(name, "–") for each in versions] for name in sorted({*versions[0], *versions[1]})}
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return [f"{name}: {a} in what is published, {b} here." for name, (a, b) in differing.items()]


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


def check_results(evidence: Sequence[Evidence], folder: Path, again: Sequence[Result]) -> tuple[str, int]:
    """Compare what the results folder has of the published study, and what was run again, with it: text and exit code.

    0 if every number is the same or within the published interval; 1 if one is different.
    """
    theirs, read = [result for track in evidence for result in track.results], recorded(folder)
    at_hand = [read(r.experiment) for r in theirs if (folder / "runs" / r.experiment.key / "result.json").exists()]
    mine = [*again, *at_hand]
    table = compare_results(mine, theirs)
    states = table["state"]
    counts = {name: int((states == name).sum()) for name in (SAME, WITHIN, DIFFERENT)}
    lines = [table[states != SAME].map(str).to_string(index=False)] if counts[SAME] < len(table) else []
    numbers = f"the same: {counts[SAME]}; within the interval: {counts[WITHIN]}; different: {counts[DIFFERENT]}."
    lines.append(f"{len(again)} run again, {len(at_hand)} of {len(theirs)} at hand. Numbers {numbers}")
    lines += environment(mine, theirs)
    return "\n".join(lines), int(counts[DIFFERENT] > 0)


def publish(evidence: Sequence[Evidence], source: Path, folder: Path) -> None:
    """Copy the evidence's results, and what was measured on them, from a results folder to the reference's.

    The results that the reference held before are replaced; its README.md stays, for `make readme` to write anew.
    """
    name = evidence[0].track.name
    keys = [result.experiment.key for track in evidence for result in track.results]
    paths = [Path("runs") / key / "result.json" for key in keys]
    paths += [Path(name) / measured_name(track) for track in evidence]
    if missing := [path.as_posix() for path in paths if not (source / path).exists()]:
        raise ValueError(f"{', '.join(missing)} is missing in the results: make study leaves it.")
    notes = sorted((source / "runs").glob(f"*/{DIVERGED}"))  # a rate that diverged left no result
    paths += [note.relative_to(source) for note in notes if note.parent.name not in keys]
    for old in ("runs", name):
        shutil.rmtree(folder / old, ignore_errors=True)
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)


def main(arguments: list[str]) -> int:
    """Run one of the two commands; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("check", "replace"))
    command = parser.parse_args(arguments).command
    try:
        if command == "check":
            evidence = reference()
            text, code = check_results(evidence, results_dir(), run_again(evidence))
            print(text)
            return code
        publish(at_hand(REFERENCE, results_dir()), results_dir(), NOTEBOOKS.parent / "data" / "reference")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
