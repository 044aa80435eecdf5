"""Question-answer pairs in a persona's voice: load, clean, and split by topic."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import pandas as pd
from sklearn.model_selection import GroupShuffleSplit

from loralab.data.assets import asset
from loralab.data.duplicates import find_duplicates, words
from loralab.data.files import check_texts, read_pairs
from loralab.data.hub import load_dataset
from loralab.experiment import ALL, content_name, is_file
from loralab.messages import message

COLUMNS = ["instruction", "input", "output", "topic"]
# Of the topics. The original practical's 26,570 pairs, which have none, were split 80/20 as well.
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


def question_answer_splits(
    dataset: str, sizes: tuple[int | str, int, int], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Train, validation and test (columns COLUMNS) of these sizes, no topic in two of them, and what was counted.

    A fifth of the topics is the test's, a tenth validation's; the seed says which. The first k rows of a split spread
    over its topics as evenly as can be, for any k. A training size of "all" takes all there is. The report counts rows
    read, incomplete ones and copies left out, and the rows and topics of each split. Raises ValueError if a size
    exceeds what there is, AssetError if the data set cannot be had.
    """
    _, report = load_pairs(dataset)
    drawn = []
    for name, part, size in zip(("train", "validation", "test"), parts_of(dataset, seed), sizes, strict=True):
        if size != ALL and int(size) > len(part):
            raise ValueError(message("split_too_small", split=name, given=size, available=len(part)))
        drawn.append(_spread(part, seed).head(len(part) if size == ALL else int(size))[COLUMNS])
        report = report | {name: len(drawn[-1]), f"{name}_topics": drawn[-1]["topic"].nunique()}
    return drawn[0], drawn[1], drawn[2], report


def load_pairs(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    """Every usable pair of a data set (columns COLUMNS), and how many were read and left out.

    Columns that the course does not know are dropped. Where there is no `topic`, the question's words stand for it,
    so that one question is never on both sides of a split. Rows without a question, or whose answer is empty or nothing
    but an address, are incomplete and left out. Raises ValueError, naming what is missing or the row, if a column is
    missing or a value no text, AssetError if the data set cannot be had.
    """
    return _load(dataset, content_name(dataset))


@lru_cache(maxsize=4)
def _load(dataset: str, content: str) -> tuple[pd.DataFrame, dict[str, float]]:
    frame = _read(dataset)
    missing = [name for name in COLUMNS[:3] if name not in frame]
    if missing:
        raise ValueError(message("columns_missing", given=", ".join(map(str, frame)), missing=", ".join(missing)))
    if "topic" not in frame:
        frame["topic"] = frame["input"].fillna("").map(lambda question: " ".join(words(str(question))))
    frame = frame[COLUMNS].fillna("")
    for name in COLUMNS:
        check_texts(frame[name])
    frame = frame.map(str.strip)
    incomplete = (frame["input"] == "") | frame["output"].str.fullmatch(r"(https?://\S+\s*)*")
    kept = frame[~incomplete]
    copies = {copy for _, copy in find_duplicates(list(kept["input"] + " \n " + kept["output"]))}
    kept = kept.drop(index=kept.index[sorted(copies)])
    return kept, {"rows": len(frame), "incomplete": int(incomplete.sum()), "duplicates": len(copies)}


def _read(dataset: str) -> pd.DataFrame:
    if is_file(dataset):
        return read_pairs(Path(dataset))
    row = asset("dataset", dataset)
    if "path" in row:
        return pd.read_json(files("loralab_data").joinpath(row["path"]).open(encoding="utf-8"), lines=True)
    if "hub" not in row or "columns" in row:
        raise ValueError(message("no_pairs", given=dataset))
    return pd.concat([part.to_pandas() for part in load_dataset(row).values()], ignore_index=True)


def parts_of(dataset: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The pairs of the topics of train, validation and test. Raises what `load_pairs` raises."""
    frame, _ = load_pairs(dataset)
    rest, test = _part(frame, TEST_SHARE, seed)
    train, validation = _part(rest, VALIDATION_SHARE / (1 - TEST_SHARE), seed)
    return train, validation, test


def _part(frame: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rest, and the rows of that share of the topics."""
    splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    rest, part = next(splitter.split(frame, groups=frame["topic"]))
    return frame.iloc[rest], frame.iloc[part]


def _spread(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows in an order that goes round the topics: a random row of each, then another of each, and so on."""
    shuffled = frame.sample(frac=1, random_state=seed)
    return shuffled.iloc[shuffled.groupby("topic").cumcount().argsort(kind="stable")]
