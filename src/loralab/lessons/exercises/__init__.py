"""Checks of the exercises: not tried yet, a hint that names the mistake, or a tick and why it matters.

An exercise is a function in one of this package's modules, named like its lesson. It examines what the student
computed, however it was computed: it returns None if that is right, else the key of a hint, alone or with the values
that fill it in. What it says stands in loralab/exercises.toml, as right_KEY and hint_KEY_HINT.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from loralab.messages import message

Found = str | tuple[str, Mapping[str, object]] | None
Examine = Callable[..., Found]
OTHER = "other"
LESSONS = ("lesson_1", "lesson_2", "lesson_3", "lesson_4", "lesson_5", "lesson_6")


class NotTried(Exception):
    """An answer that was left blank."""


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth: `right`, the key of the `hint` ("" if there is none), and the `text` that says so."""

    right: bool
    hint: str
    text: str


def verdict(key: str, *answers: object) -> Verdict:
    """What the answers to that exercise are worth.

    An answer of None or ..., or a function that returns one, counts as not tried. Raises ValueError, naming the
    exercises there are, for any other key; an error in a student's function is passed on.
    """
    examine = exercises().get(key)
    if examine is None:
        raise ValueError(message("unknown", what="key", given=key, choices=", ".join(exercises())))
    try:
        found = examine(*map(tried, answers))
    except NotTried:
        return Verdict(False, "", message("not_tried"))
    if found is None:
        return Verdict(True, "", message("tick", why=message(f"right_{key}")))
    hint, values = (found, {}) if isinstance(found, str) else found
    return Verdict(False, hint, message("cross", hint=message(f"hint_{key}_{hint}", **values)))


def check(key: str, *answers: object) -> None:
    """Print what the answers to that exercise are worth. Raises what `verdict` raises."""
    print(textwrap.fill(verdict(key, *answers).text, 84))


def exercises() -> dict[str, Examine]:
    """Every exercise by its key, in the order of the lessons."""
    modules = [import_module(f"loralab.lessons.exercises.{name}") for name in LESSONS]
    return {key: examine for module in modules for key, examine in module.EXERCISES.items()}


def tried(answer: Any) -> Any:
    """The answer. Raises NotTried if it was left blank."""
    if answer is None or answer is ...:
        raise NotTried
    return answer


def number_is(right: float, mistakes: Mapping[str, float], tolerance: float = 0.01) -> Examine:
    """An exercise whose answer is a number, right within a share of it (of 1, if it is 0), as is each mistake."""

    def examine(answer: Any) -> Found:
        if not isinstance(answer, int | float | np.number) and getattr(answer, "ndim", None) != 0:
            return OTHER
        for hint, value in ((None, right), *mistakes.items()):
            if abs(float(answer) - value) <= tolerance * (abs(value) or 1):
                return hint
        return OTHER

    return examine


def function_is(
    right: Callable[..., Any], mistakes: Mapping[str, Callable[..., Any]], probes: Sequence[tuple[Any, ...]]
) -> Examine:
    """An exercise whose answer is a function: it is called with each probe, and so is each known mistake.

    Right is whatever agrees with `right` on every probe. A mistake is named if the answer agrees with it on every one.
    """

    def examine(answer: Any) -> Found:
        outputs = [tried(answer(*deepcopy(probe))) for probe in probes]  # an answer may change what it is given
        for hint, known in ((None, right), *mistakes.items()):
            if all(same(output, known(*probe)) for output, probe in zip(outputs, probes, strict=True)):
                return hint
        return OTHER

    return examine


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal: texts and lists of them exactly, numbers, arrays and tensors within 0.01 %."""
    try:
        a, b = np.asarray(one), np.asarray(other)
    except ValueError:  # rows of unequal length
        return bool(one == other)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
        return bool(np.allclose(a.astype(float), b.astype(float), rtol=1e-4, atol=1e-6, equal_nan=True))
    return bool(np.all(a == b))
