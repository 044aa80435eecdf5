"""Find second copies of a text, word for word or nearly."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

SIMILAR = 0.8


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation: what two copies of it have in common."""
    return re.findall(r"\w+", text.lower())


def find_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Positions (kept, copy) of texts with the same words in the same order; the first of each kind is kept."""
    first: dict[tuple[str, ...], int] = {}
    copies = []
    for position, text in enumerate(texts):
        original = first.setdefault(tuple(words(text)), position)
        if original != position:
            copies.append((original, position))
    return copies


def find_near_duplicates(texts: Sequence[str], threshold: float = SIMILAR) -> list[tuple[int, int, float]]:
    """Pairs of positions i < j whose word sets have Jaccard similarity |A ∩ B| / |A ∪ B| of `threshold` or more.

    Exact, without comparing all pairs: two such sets share a word among the rarest |A| - ⌈threshold·|A|⌉ + 1 of each
    (prefix filtering, Bayardo et al., WWW 2007).
    """
    sets = [frozenset(words(text)) for text in texts]
    frequency = Counter(chain.from_iterable(sets))
    seen_with: dict[str, list[int]] = defaultdict(list)
    copies = []
    for j, words_j in enumerate(sets):
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
