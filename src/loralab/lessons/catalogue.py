"""What each lesson asks, read from lesson_1.toml … lesson_6.toml: its predictions and its exercises, whole.

A prediction has its question (`ask`), the unit and digits that numbers are shown in, how far off still counts as right
(`within`, in the unit, or `within_share`, a share of what was measured), and why it came out so (`why`).

An exercise has right answers (`right`, code to stand where the solution does), what makes it worth it (`why`), and a
hint for each known mistake with the code that makes it: `wrong`, or `change`, what it has in place of what in the first
right answer. How an answer is checked:
- `variables`: numbers by those names, each within `tolerance`, a share. A mistake's code stands after the first right
  answer's, and only what it sets is compared;
- `parameters` and `probes`: a function of those parameters, called with each probe. A mistake's code is its body;
- neither: by the function of loralab.lessons.checks or loralab.lessons.studies with the exercise's name.
The hint `other` is for a mistake that nobody foresaw. Texts have one entry a language.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from loralab.messages import LANGUAGES, language

LESSONS = (1, 2, 3, 4, 5, 6)


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
    lacking = [f"{where} ({', '.join(missing)})" for where, missing in incomplete(content)]
    if lacking:
        raise ValueError(f"{name} lacks texts: {'; '.join(lacking)}. Write each in every language.")
    return content


def incomplete(entry: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, list[str]]]:
    """Where a text is not there in every language, and in which it is not."""
    missing = [language for language in LANGUAGES if language not in entry]
    if 0 < len(missing) < len(LANGUAGES):
        yield where, missing
    for name, inner in entry.items():
        if isinstance(inner, dict):
            yield from incomplete(inner, f"{where}.{name}".lstrip("."))


def known(entry: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    """Code to stand where an exercise's solution does: each known mistake's, by its hint; first a right one (None)."""
    right = entry["right"][0]
    yield None, right
    for hint, row in entry["hints"].items():
        if "change" in row:
            yield hint, right.replace(*row["change"])
            continue
        for wrong in [row["wrong"]] if isinstance(row["wrong"], str) else row["wrong"]:
            yield hint, wrong if "parameters" in entry else f"{right}\n{wrong}"
