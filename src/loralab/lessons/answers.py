"""Reading the answers that a student hands over: blank or not, numbers, tables, results, verdicts."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from loralab.experiment import Experiment, Result
from loralab.show.stats import Difference
from loralab.train.models import MODULES

DEFAULTS = [set(names) for names in MODULES["lora"].values() if not isinstance(names, str)]
# What is wrong with an answer: nothing, or the key of a hint, alone or with the values that fill it in.
Mistake = str | tuple[str, Mapping[str, object]] | None
OTHER = "other"


class NotTried(Exception):
    """An answer that was left blank."""


def tried(answer: Any) -> Any:
    """The answer. Raises NotTried if it was left blank."""
    if answer is None or answer is ...:
        raise NotTried
    return answer


def plain(value: Any) -> Any:
    """A tensor as numpy reads it: without its gradient, in the computer's memory."""
    return value.detach().cpu() if hasattr(value, "detach") else value


def same(one: Any, other: Any, tolerance: float = 1e-4, least: float = 1e-6) -> bool:
    """Whether two values agree: numbers, arrays and tensors within a share or `least`, all else exactly.

    One row agrees with a batch that is that row alone, and an error with an error.
    """
    if isinstance(one, Exception) or isinstance(other, Exception):
        return isinstance(one, Exception) and isinstance(other, Exception)
    try:
        a, b = (np.asarray(plain(value)) for value in (one, other))
    except ValueError:  # rows of unequal length
        return isinstance(one, list) and one == other
    if a.ndim == 2 and len(a) == 1 and b.ndim == 1:
        a = a[0]
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
        return bool(np.allclose(a.astype(float), b.astype(float), rtol=tolerance, atol=least, equal_nan=True))
    return bool(np.all(a == b))


def runs_of(answer: Any) -> list[Result]:
    """Every result in an answer, whatever lists or tables it comes in. Raises NotTried if one was left blank."""
    if isinstance(tried(answer), Result):
        return [answer]
    values = answer.values() if isinstance(answer, Mapping) else answer
    parts = values if isinstance(values, Iterable) and not isinstance(values, str | bytes) else ()
    return [result for part in parts for result in runs_of(part)]


def changed(result: Result, wanted: Experiment) -> set[str]:
    """The fields in which a result's experiment differs from the one asked for.

    Precision aside, which the machine decides; and the default modules may be named.
    """
    own, asked = (experiment.identity() for experiment in (result.experiment, wanted))
    for fields in (own, asked):
        if set(fields.get("target_modules", ())) in DEFAULTS:
            fields["target_modules"] = "default"
    return {name for name in own.keys() | asked.keys() if own.get(name) != asked.get(name)} - {"precision"}


def agree(given: Any, wanted: Any, tolerance: float = 0.01, least: float = 0.0) -> bool:
    """Whether two numbers, or two rows, agree within a share of the second or, if that is more, within `least`."""
    if isinstance(tried(given), str):
        return False
    try:
        a, b = np.asarray(plain(given), dtype=float), np.asarray(wanted, dtype=float)
    except (TypeError, ValueError):  # not numbers
        return False
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= np.maximum(tolerance * np.abs(b), least)))


def has(table: Any, keys: Iterable[Any]) -> bool:
    """Whether a table (a dictionary, say) has an entry for each key. Raises NotTried if one was left blank."""
    if not hasattr(table, "__getitem__") or not hasattr(table, "keys") or not set(keys) <= set(table.keys()):
        return False
    for key in keys:
        tried(table[key])
    return True


def row_of(entry: Any) -> list[Any]:
    """A table's entry as a list of values; empty if it is a single value. Raises NotTried if it was left blank."""
    values = tried(entry).values() if isinstance(entry, Mapping) else entry
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str) else []


def code(answer: Any) -> str:
    """A verdict as it is compared: "Cannot tell" and "cannot_tell" are one."""
    return str(tried(answer)).strip().lower().replace(" ", "_")


def interval(difference: Difference, level: float = 0.95) -> tuple[float, float]:
    """The interval of a difference of accuracies, in points."""
    middle, half = 100 * difference.mean, 100 * difference.half(level)
    return middle - half, middle + half


def side(difference: Difference, level: float = 0.95) -> str:
    """Which side of zero the interval lies on: "better", "worse", or "cannot_tell"."""
    low, high = interval(difference, level)
    return "better" if low > 0 else "worse" if high < 0 else "cannot_tell"
