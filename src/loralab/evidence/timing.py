"""Methods timed against each other, and the steps to a loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loralab.experiment import Result
from loralab.messages import message, number

METHODS = ("full", "lora")  # a study's other methods and places are timed too


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a race of one track measured (notebooks/run_study.py).

    `seconds` has one entry a round for each method, each one optimizer step; `tokens` counts the batch's real tokens.
    `expected` are full fine-tuning's and LoRA's operations in a step on the last round's batch, by formula.
    """

    seconds: dict[str, list[float]]
    tokens: list[int]
    expected: dict[str, int]

    @property
    def ratios(self) -> list[float]:
        """Full fine-tuning's time over LoRA's, round by round."""
        return self.over("full", "lora")

    def over(self, name: str, other: str) -> list[float]:
        """The time of one over another's, round by round."""
        return [taken / beside for taken, beside in zip(self.seconds[name], self.seconds[other], strict=True)]


def steps_to(losses: Sequence[float], target: float, window: int) -> int:
    """The first step (from 1) at which the mean of the last `window` losses is at or below the target.

    Raises ValueError, naming the lowest mean, if it never is.
    """
    means = _means(losses, window)
    reached = np.flatnonzero(means <= target)
    if not len(reached):
        raise ValueError(message("never_reached", target=number(target, 3), lowest=number(float(means.min()), 3)))
    return int(reached[0]) + window


def target_loss(full: Sequence[Result], lora: Sequence[Result], window: int) -> float:
    """A loss (nats) that all of the runs reach: the highest of the lowest mean losses over `window` steps."""
    return max(float(_means(result.loss_by_step, window).min()) for result in (*full, *lora))


def _means(losses: Sequence[float], window: int) -> np.ndarray:
    return np.convolve(losses, np.ones(window) / window, mode="valid")
