"""Texts to token ids, and ids to batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pandas as pd
from torch.utils.data import Sampler

from loralab.data.texts import check_rows
from loralab.messages import message


@dataclass(frozen=True)
class Encoded:
    """Encoded texts: a dataset with `input_ids`, `attention_mask` and `labels`, not padded.

    `lengths` is in tokens, one a row; `truncated` counts the rows that were cut; `left_out` has the table's positions
    of rows of which nothing to train on would be left.
    """

    dataset: datasets.Dataset
    lengths: list[int]
    truncated: int
    left_out: tuple[int, ...] = ()

    def by_length(self) -> tuple[datasets.Dataset, np.ndarray]:
        """The rows from short to long, so that evaluation pads little, and the order that puts them there."""
        order = np.argsort(self.lengths, kind="stable")
        return self.dataset.select(order), order


def encode(frame: pd.DataFrame, tokenizer: Any, max_length: int | None) -> Encoded:
    """Encode a table with `text`, `text_pair` if there are two texts a row, and `label`.

    Each row is cut at `max_length` tokens (None: none is); of two texts the longer one loses first.
    Raises ValueError if the table is empty, if `max_length` is more than the model takes, or, naming the row, if a
    text is empty, no text, or longer than the model takes where nothing may be cut, or a label is no class.
    """
    limit = tokenizer.model_max_length
    if frame.empty:
        raise ValueError(message("split_empty"))
    check_rows(frame)
    if max_length is not None and max_length > limit:
        raise ValueError(message("max_length_too_large", given=max_length, limit=limit))
    texts = [frame[name].tolist() for name in ("text", "text_pair") if name in frame]
    # Which of two texts a token belongs to, where the model is told; for a single one it would be zeros throughout.
    types = None if len(texts) == 2 else False
    whole = tokenizer(*texts, truncation=False, verbose=False, return_token_type_ids=False)
    whole_lengths = [len(ids) for ids in whole["input_ids"]]
    if max_length is None:
        for row, length in zip(frame.index, whole_lengths, strict=True):
            if length > limit:
                raise ValueError(message("row_too_long", row=row, given=length, limit=limit))
    cut = tokenizer(*texts, truncation=max_length is not None, max_length=max_length, return_token_type_ids=types)
    lengths = [len(ids) for ids in cut["input_ids"]]
    columns = {**cut, "labels": [int(label) for label in frame["label"]]}
    truncated = sum(after < before for after, before in zip(lengths, whole_lengths, strict=True))
    return Encoded(datasets.Dataset.from_dict(columns), lengths, truncated)


def from_short_to_long(lengths: Sequence[int] | np.ndarray, batch_size: int) -> list[list[int]]:
    """Batches of row numbers, the shortest rows first, so that little is padded."""
    order = np.argsort(lengths, kind="stable")
    return [order[i : i + batch_size].tolist() for i in range(0, len(order), batch_size)]


def batches_by_length(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of row numbers of similar length, in random order: a pure function of its arguments.

    Rows are shuffled, then sorted by length within stretches of 50 batches, so that batches differ from epoch to
    epoch; the batches are then shuffled. Every row stands in exactly one batch; one batch may be short.
    """
    random = np.random.default_rng([seed, epoch])
    order, sizes, stretch = random.permutation(len(lengths)), np.asarray(lengths), 50 * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), stretch):
        rows = order[start : start + stretch]
        batches += [rows[batch].tolist() for batch in from_short_to_long(sizes[rows], batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


class BatchesByLength(Sampler[list[int]]):
    """`batches_by_length` as a batch sampler for a DataLoader; `set_epoch` chooses the epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0
        self.drop_last = False

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(batches_by_length(self.lengths, self.batch_size, self.seed, self.epoch))

    def __iter__(self) -> Iterator[list[int]]:
        yield from batches_by_length(self.lengths, self.batch_size, self.seed, self.epoch)


def count_tokens(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> dict[str, int]:
    """Tokens in the batches: `real`, and `padded` once each batch is filled up to its longest row."""
    real = sum(lengths[row] for batch in batches for row in batch)
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    return {"real": real, "padded": padded}
