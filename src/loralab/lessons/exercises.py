"""Checks of the exercises: not tried yet, a hint that names the mistake, or a tick and why it matters.

What the student computed is examined, however it was computed. What is known of each exercise, right and wrong, stands
in its lesson's file, see loralab.lessons.catalogue.
"""

import textwrap
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

from loralab.lessons import checks
from loralab.lessons.answers import OTHER, Mistake, NotTried, agree, same, tried
from loralab.lessons.catalogue import exercises, known, text
from loralab.messages import message, one_of


@dataclass(frozen=True)
class Grade:
    """What an answer is worth: `right`, the key of the `hint` ("" if there is none), and the `text` that says so."""

    right: bool
    hint: str
    text: str


def grade(key: str, *answers: object) -> Grade:
    """What the answers to that exercise are worth.

    An answer of None or ..., or a function that returns one, counts as not tried. Raises ValueError, naming the
    exercises there are, for any other key; an error in a student's function is passed on.
    """
    one_of("key", key, exercises())
    entry = exercises()[key]
    try:
        mistake = _examiner(key, entry)(*map(tried, answers))
    except NotTried:
        return Grade(False, "", message("not_tried"))
    if mistake is None:
        return Grade(True, "", message("tick", why=text(entry["why"])))
    hint, values = (mistake, {}) if isinstance(mistake, str) else mistake
    return Grade(False, hint, message("cross", hint=text(entry["hints"][hint], **values)))


def check(key: str, *answers: object) -> None:
    """Print what the answers to that exercise are worth. Raises what `grade` raises."""
    print(textwrap.fill(grade(key, *answers).text, 84))


def _examiner(key: str, entry: Mapping[str, Any]) -> Callable[..., Mistake]:
    if "variables" in entry:
        return partial(_numbers, entry)
    if "probes" in entry:
        return partial(_function, entry)
    return getattr(checks, key)


def _numbers(entry: Mapping[str, Any], *answers: Any) -> Mistake:
    given, tolerance = dict(zip(entry["variables"], answers, strict=True)), entry["tolerance"]
    for hint, before, code in known(entry):
        known_values: dict[str, Any] = {}
        exec(code, _run(before), known_values)
        pairs = [(given[name], float(value)) for name, value in known_values.items() if name in given]
        found = [agree(own, value, tolerance, 0 if value else tolerance) for own, value in pairs]
        if hint != OTHER and found and all(found):
            return hint
    return OTHER


def _function(entry: Mapping[str, Any], answer: Callable[..., Any]) -> Mistake:
    """Right is what agrees with the right answer on every probe. So is a mistake named: an error counts as an error."""
    probes = _run(entry["probes"])["probes"]
    given = [_outcome(answer, probe) for probe in probes]
    close = {name: entry[name] for name in ("tolerance", "least") if name in entry}
    for hint, _, code in known(entry):
        function = _run(f"def known({entry['parameters']}):\n{textwrap.indent(code, '    ')}")["known"]
        outcomes = (_outcome(function, probe) for probe in probes)
        if hint != OTHER and all(same(a, b, **close) for a, b in zip(given, outcomes, strict=True)):
            return hint
    for outcome in given:
        if isinstance(outcome, Exception):
            raise outcome
    return OTHER


def _outcome(function: Callable[..., Any], probe: tuple[Any, ...]) -> Any:
    """What a function gives, of a tokenizer's output the ids; or its error."""
    try:
        output = tried(function(*deepcopy(probe)))  # which may change what it is given
    except NotTried:
        raise
    except Exception as error:  # a known mistake may raise as well: told apart by the caller
        return error
    return output["input_ids"] if hasattr(output, "keys") and "input_ids" in output else output


def _run(code: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace
