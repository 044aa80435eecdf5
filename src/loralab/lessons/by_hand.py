"""What lessons work out in passing, beside what the package trains and shows."""

import math
from collections.abc import Sequence

import numpy as np

from loralab.data.assets import asset
from loralab.files import is_own
from loralab.train.tokens import count_tokens


def rater_agreement(ratings: Sequence[int]) -> float:
    """The share of people whose rating has the sign of the mean of the others' (0 to 1; a rating of 0 counts half).

    People for whom the others' mean is zero are left out; NaN if there is nobody else.
    """
    own = np.asarray(ratings)
    others = np.sign(own.sum() - own)
    agrees = np.where(own == 0, 0.5, np.sign(own) == others)[others != 0]
    return float(agrees.mean()) if len(agrees) else math.nan


def metric_of(dataset: str) -> str:
    """The score that a classification data set is usually judged by: "accuracy", "f1" or "mcc"."""
    return "accuracy" if is_own(dataset) else asset("dataset", dataset).get("metric", "accuracy")


def padding_waste(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """The share of all tokens in the batches that is padding, 0 to 1."""
    tokens = count_tokens(lengths, batches)
    return 1 - tokens["real"] / tokens["padded"]
