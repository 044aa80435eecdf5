"""Sweeps: learning rates tried one beside the other, the best of them, and one more beyond it if it is at the edge."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from loralab.evidence.protocol import place_name
from loralab.experiment import Experiment, Result
from loralab.messages import message, scientific

Each = Callable[[Sequence[Experiment]], list[Result | None]]  # None: training diverged


@dataclass(frozen=True)
class Sweep:
    """The learning rates that a method was tried with, by rate, and the one with the lowest validation loss.

    `place` says where LoRA was, if not at the track's own rank.
    """

    results: Sequence[Result]
    extended: bool
    place: str = ""

    @property
    def method(self) -> str:
        """The method."""
        return self.results[0].experiment.method

    @property
    def title(self) -> str:
        """The method's name, and the place's."""
        return f"{message(self.method)}{f', {place_name(self.place)}' if self.place else ''}"

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


def one_by_one(run: Callable[[Experiment], Result]) -> Each:
    """What runs experiments in order. One of a sweep at whose rate training diverges is said, and gives None."""

    def attempt(experiment: Experiment) -> Result | None:
        try:
            return run(experiment)
        except FloatingPointError as error:
            if experiment.examined:
                raise
            print(error)  # an answer to what a sweep asks: the rate is too high
            return None

    return lambda experiments: list(map(attempt, experiments))


def by_name(lists: Mapping[str, Sequence[Experiment]], each: Each) -> dict[str, list[Result]]:
    """What became of each list's experiments, all of them handed over at once, each one once."""
    unique = list({e.key: e for experiments in lists.values() for e in experiments}.values())
    found = dict(zip((e.key for e in unique), each(unique), strict=True))
    return {name: [r for e in experiments if (r := found[e.key])] for name, experiments in lists.items()}


def sweeps(tried: Mapping[str, Sequence[Experiment]], each: Each) -> dict[str, Sweep]:
    """Try each one's rates; where the lowest loss is at the edge, one rate more beyond it.

    A rate at which training diverges is left out. Raises ValueError if all of a sweep's do.
    """
    first = by_name(tried, each)
    for name, results in first.items():
        if not results:
            rates = ", ".join(scientific(e.learning_rate) for e in tried[name])
            raise ValueError(message("sweep_diverges", method=message(tried[name][0].method), rates=rates))
    found = {name: Sweep(results, extended=False) for name, results in first.items()}
    further = {name: beyond(sweep.losses) for name, sweep in found.items()}
    further = {  # where the neighbour diverged there is nothing to try beyond
        name: rate for name, rate in further.items()
        if rate and not any(math.isclose(rate, e.learning_rate) for e in tried[name])
    }  # fmt: skip
    more = by_name({name: [tried[name][0].but(learning_rate=rate)] for name, rate in further.items()}, each)
    return {
        name: Sweep([*sweep.results, *more.get(name, [])], name in further, "" if name == sweep.method else name)
        for name, sweep in found.items()
    }
