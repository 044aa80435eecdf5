"""The exercises of lesson 2."""

from collections.abc import Sequence

from loralab.lessons.exercises import Examine, function_is
from loralab.train.chat import IGNORED

END = 2  # of these rows, and their padding


def in_batches(lengths: Sequence[int], batch_size: int) -> list[Sequence[int]]:
    """The rows' lengths, batch by batch, as they come."""
    return [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]


def padded(lengths: Sequence[int], batch_size: int) -> int:
    """Tokens with each batch filled up to its longest row."""
    return sum(len(batch) * max(batch) for batch in in_batches(lengths, batch_size))


def waste(lengths: Sequence[int], batch_size: int) -> float:
    """Padding over all tokens."""
    return 1 - sum(lengths) / padded(lengths, batch_size)


def last_full(lengths: Sequence[int], batch_size: int) -> float:
    """The waste if the last batch had `batch_size` rows too."""
    return 1 - sum(lengths) / sum(batch_size * max(batch) for batch in in_batches(lengths, batch_size))


def mean_of_batches(lengths: Sequence[int], batch_size: int) -> float:
    """The mean of each batch's share of padding."""
    shares = [waste(batch, batch_size) for batch in in_batches(lengths, batch_size)]
    return sum(shares) / len(shares)


def labels(ids: Sequence[int], start: int, stop: int, masked: int = IGNORED) -> list[int]:
    """The ids from `start` up to `stop`, and the mask elsewhere."""
    return [token if start <= i < stop else masked for i, token in enumerate(ids)]


def token_loss(losses: Sequence[float], tokens: Sequence[int]) -> float:
    """Nats a token over all answers."""
    return nats(losses, tokens) / sum(tokens)


def nats(losses: Sequence[float], tokens: Sequence[int]) -> float:
    """Nats of all answers together."""
    return sum(loss * count for loss, count in zip(losses, tokens, strict=True))


EXERCISES: dict[str, Examine] = {
    "waste": function_is(
        waste,
        {
            "by_real": lambda lengths, size: padded(lengths, size) / sum(lengths) - 1,
            "longest_of_all": lambda lengths, size: 1 - sum(lengths) / (len(lengths) * max(lengths)),
            "last_full": last_full,
            "last_dropped": lambda lengths, size: waste(lengths[: len(lengths) // size * size], size),
            "mean": mean_of_batches,
        },
        [([3, 5, 2, 8, 4], 2), ([7, 1, 1, 6, 6, 2, 3, 9], 3), ([10, 10, 50, 10], 2)],
    ),
    "answer_labels": function_is(
        labels,
        {
            "by_number": lambda ids, start, stop: [
                IGNORED if token == END else token for token in labels(ids, start, stop)
            ],
            "end": lambda ids, start, stop: labels(ids, start, stop - 1),
            "shifted": lambda ids, start, stop: [*labels(ids, start, stop)[1:], IGNORED],
            "prompt": lambda ids, start, stop: labels(ids, 0, stop),
            "padding": lambda ids, start, stop: labels(ids, start, len(ids)),
            "zeros": lambda ids, start, stop: labels(ids, start, stop, masked=0),
        },
        # The second row was cut: it has neither end nor padding.
        [([1, 4, END, 9, 8, 7, END, END, END], 3, 7), ([1, 4, END, 9, 8, 7], 3, 6), ([1, END, 5, END, END], 2, 4)],
    ),
    "token_loss": function_is(
        token_loss,
        {
            "rows": lambda losses, tokens: sum(losses) / len(losses),
            "sum": nats,
            "padding": lambda losses, tokens: nats(losses, tokens) / (len(tokens) * max(tokens)),
            "unweighted": lambda losses, tokens: sum(losses) / sum(tokens),
        },
        [([5.0, 2.5, 1.5], [4, 10, 30]), ([0.5, 3.0], [40, 10]), ([2.0, 1.0, 4.0, 3.0], [3, 12, 6, 5])],
    ),
}
