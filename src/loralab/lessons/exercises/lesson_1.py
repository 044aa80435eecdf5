"""The exercises of lesson 1."""

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

from loralab.data.duplicates import words
from loralab.lessons.exercises import OTHER, Examine, Found, function_is, number_is, tried

TP, FN, FP, TN = 960, 7, 30, 3
UNDER_THE_ROOT = (TP + FP) * (TP + FN) * (TN + FP) * (TN + FN)

# Copies that differ in case, in the last sign, in a sign inside, and in nothing; and reviews that say other things.
REVIEWS = [
    "Horrible.",
    "A joy from start to finish.",
    "Dull?",
    "HORRIBLE.",
    "A joy, from start to finish!",
    "Dull!",
    "Not a joy from start to finish.",
    "Funny, not clever.",
    "A joy from start to finish.",
    "Clever, not funny.",
]
STOP_WORDS = {"a", "from", "is", "not", "the", "to"}


def first_of_each(texts: Sequence[str], key: Callable[[str], Hashable]) -> list[str]:
    """The first text of each key, in order."""
    first: dict[Hashable, str] = {}
    for text in texts:
        first.setdefault(key(text), text)
    return list(first.values())


def same_words(text: str) -> Hashable:
    """What two copies have in common."""
    return tuple(words(text))


def only_unrepeated(texts: Sequence[str]) -> list[str]:
    """The texts of which there is no copy."""
    times = Counter(map(same_words, texts))
    return [text for text in texts if times[same_words(text)] == 1]


def needed(p: float, points: float) -> float:
    """n of points/100 = 1.96·√(p(1-p)/n)."""
    return p * (1 - p) * (196 / points) ** 2


EXAMS = ((0.83, 1.0), (0.5, 2.0), (0.95, 0.5))
WRONG_TURNS: tuple[tuple[str, Callable[[float, float], float]], ...] = (
    ("one_error", lambda p, points: p * (1 - p) * (100 / points) ** 2),
    ("share", lambda p, points: needed(p, 100 * points)),
    ("not_squared", lambda p, points: math.sqrt(needed(p, points))),
    ("not_squared", lambda p, points: p * (1 - p) * 1.96**2 * 100 / points),
    ("whole", lambda p, points: needed(p, points / 2)),
    ("variance", lambda p, points: (p * (1 - p) * 196 / points) ** 2),
)


def questions_needed(answer: Any) -> Found:
    """Rounded or not, and with 1.96 or with more of its digits: all within a question and a thousandth."""
    counts = [float(tried(answer(*exam))) for exam in EXAMS]
    for hint, known in ((None, needed), *WRONG_TURNS):
        expected = [known(*exam) for exam in EXAMS]
        if all(abs(a - b) <= 1 + b / 1000 for a, b in zip(counts, expected, strict=True)):
            return hint
    return OTHER


EXERCISES: dict[str, Examine] = {
    "unbalanced_mcc": number_is(
        (TP * TN - FP * FN) / math.sqrt(UNDER_THE_ROOT),
        {
            "accuracy": (TP + TN) / (TP + TN + FP + FN),
            "f1": 2 * TP / (2 * TP + FP + FN),
            "sign": (TP * TN + FP * FN) / math.sqrt(UNDER_THE_ROOT),
            "no_root": (TP * TN - FP * FN) / UNDER_THE_ROOT,
            "always": 0,
        },
        tolerance=0.005,
    ),
    "without_copies": function_is(
        partial(first_of_each, key=same_words),
        {
            "exact": lambda texts: list(dict.fromkeys(texts)),
            "case": partial(first_of_each, key=lambda text: tuple(re.findall(r"\w+", text))),
            "punctuation": partial(first_of_each, key=str.lower),
            "inside": partial(first_of_each, key=lambda text: text.lower().rstrip(".?!")),
            "stop_words": partial(first_of_each, key=lambda text: tuple(w for w in words(text) if w not in STOP_WORDS)),
            "order": partial(first_of_each, key=lambda text: frozenset(words(text))),
            "none_kept": only_unrepeated,
            "last": lambda texts: list({same_words(text): text for text in texts}.values()),
            "rewritten": lambda texts: [" ".join(words(text)) for text in first_of_each(texts, same_words)],
        },
        [(REVIEWS,)],
    ),
    "questions_needed": questions_needed,
}
