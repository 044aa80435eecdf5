"""What each lesson asks, read from lesson_1.toml … lesson_8.toml: its predictions and its exercises, whole.

A prediction has its question (`ask`), the unit and digits that numbers are shown in, how far off still counts as right
(`within`, in the unit, or `within_share`, a share of what was measured), and why it came out so (`why`).

An exercise has right answers (`right`, code to stand where the solution does), what makes it worth it (`why`), and a
hint for each known mistake with the code that makes it: `wrong`, or `change`, what it has in place of what in the first
right answer. How an answer is checked:
- `variables`: numbers by those names, each within `tolerance`, a share. A mistake's code stands after the first right
  answer's, and what it sets is compared;
- `parameters` and `probes`: a function of those parameters, called with each probe. A mistake's code is its body;
- neither: by the function of loralab.lessons.checks with the exercise's name.
The hint `other` is for a mistake that nobody foresaw. Texts have one entry a language.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from loralab.messages import LANGUAGES, language

LESSONS = (1, 2, 3, 4, 5, 6, 8)


@lru_cache
def predictions() -> dict[str, dict[str, Any]]:
    """Every prediction by its key, in the order of the lessons."""
    return {key: entry for lesson in LESSONS for key, entry in _read(lesson)["predictions"].items()}


@lru_cache
def exercises() -> dict[str, dict[str, Any]]:
    """Every exercise by its key, in the order of the lessons."""
    return {key: entry for lesson in LESSONS for key, entry in _read(lesson)["exercises"].items()}


def text(entry: Mapping[str, str], **values: object) -> str:
    """An entry's text in the language in force, with its values filled in."""
    return entry[language()].format(**values)


@lru_cache
def _read(lesson: int) -> dict[str, Any]:
    name = f"lesson_{lesson}.toml"
    content = tomllib.loads(files("loralab.lessons").joinpath(name).read_text(encoding="utf-8"))
    lacking = [where for where, entry in texts(content) if not set(LANGUAGES) <= set(entry)]
    lacking += [f"exercises.{k}.hints.other" for k, e in content["exercises"].items() if "other" not in e["hints"]]
    if lacking:
        raise ValueError(f"{name} lacks a text in {', '.join(lacking)}. Write each in {', '.join(LANGUAGES)}.")
    return content


def texts(entry: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every part of an entry that has texts, one a language, by the names that lead there."""
    if set(LANGUAGES) & set(entry):
        yield where, entry
    for name, inner in entry.items():
        if isinstance(inner, dict):
            yield from texts(inner, f"{where}.{name}".lstrip("."))


def known(entry: Mapping[str, Any]) -> Iterator[tuple[str | None, str, str]]:
    """Code to stand where an exercise's solution does: each known mistake's, by its hint; first a right one (None).

    In two parts: what comes before the mistake, if anything, and the mistake.
    """
    right = entry["right"][0]
    yield None, "", right
    for hint, row in entry["hints"].items():
        if "change" in row:
            yield hint, "", right.replace(*row["change"])
            continue
        for wrong in [row["wrong"]] if isinstance(row["wrong"], str) else row["wrong"]:
            yield hint, "" if "parameters" in entry else right, wrong
