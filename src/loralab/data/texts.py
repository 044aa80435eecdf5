"""What texts have to be, and second copies of them, word for word or nearly."""

import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

import pandas as pd

from loralab.messages import message, number

SIMILAR = 0.8
SILENCE = 10  # seconds


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation: what two copies of it have in common."""
    return re.findall(r"\w+", text.lower())


def find_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Positions (kept, copy) of texts with the same words in the same order; the first of each kind is kept."""
    first: dict[tuple[str, ...], int] = {}
    pairs = ((first.setdefault(tuple(words(text)), position), position) for position, text in enumerate(texts))
    return [(original, position) for original, position in pairs if original != position]


def find_near_duplicates(texts: Sequence[str], threshold: float = SIMILAR) -> list[tuple[int, int, float]]:
    """Pairs of positions i < j whose word sets have Jaccard similarity |A ∩ B| / |A ∪ B| of `threshold` or more.

    Exact, without comparing all pairs: two such sets share a word among the rarest |A| - ⌈threshold·|A|⌉ + 1 of each
    (prefix filtering, Bayardo et al., WWW 2007).
    """
    sets = [frozenset(words(text)) for text in texts]
    frequency = Counter(chain.from_iterable(sets))
    seen_with: dict[str, list[int]] = defaultdict(list)
    copies, told = [], time.monotonic()
    for j, words_j in enumerate(sets):
        if time.monotonic() - told > SILENCE:
            told = time.monotonic()
            print(message("looking_for_copies", done=number(j, 0), all=number(len(sets), 0)))
        rarest = sorted(words_j, key=lambda word: (frequency[word], word))
        prefix = rarest[: len(rarest) - math.ceil(threshold * len(rarest) - 1e-9) + 1]
        candidates = {i for word in prefix for i in seen_with[word]}
        for i in sorted(candidates):
            smaller, larger = sorted((len(sets[i]), len(words_j)))
            if smaller >= threshold * larger:
                common = len(sets[i] & words_j)
                similarity = common / (len(sets[i]) + len(words_j) - common)
                if similarity >= threshold:
                    copies.append((i, j, similarity))
        for word in prefix:
            seen_with[word].append(j)
    return copies


def check_rows(frame: pd.DataFrame) -> None:
    """Raises ValueError, naming the row, if a text is empty or no text, or a label is no class's number."""
    for row, text in (pair for name in ("text", "text_pair") if name in frame for pair in frame[name].items()):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(message("row_not_text", row=row, given=text))
    for row, label in frame["label"].items():
        if label not in range(10**6):
            raise ValueError(message("row_bad_label", row=row, given=label))
