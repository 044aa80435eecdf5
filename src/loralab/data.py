"""Load a data set, take out what would make a score a lie, and split it."""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from loralab.assets import AssetError, asset, fetch
from loralab.duplicates import find_duplicates, find_near_duplicates
from loralab.experiment import Experiment
from loralab.messages import message
from loralab.pairs import question_answer_splits

CLASSES = 2


@dataclass(frozen=True)
class Splits:
    """Three disjoint tables, and how they came about.

    Classification: columns `text` and `label`; `report` counts rows: read, left out for a zero rating, duplicates and
    near-duplicates left out, and the rows and the share of positives of each split. Generation: columns as in
    loralab.pairs.COLUMNS; `report` is what loralab.pairs counts.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    report: dict[str, float]

    def items(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """The splits by name, in order."""
        yield from (("train", self.train), ("validation", self.validation), ("test", self.test))

    def fingerprint(self) -> str:
        """A hash of every value of every row, in order."""
        digest = hashlib.sha256()
        for name, frame in self.items():
            digest.update(f"{name}{len(frame)}".encode())
            for values in frame.itertuples(index=False):
                digest.update(("\t".join(map(str, values)) + "\n").encode())
        return digest.hexdigest()[:16]


def film_reviews() -> pd.DataFrame:
    """Every film-review snippet, 10,605 rows: `rating` (mean, -4 to 4), `ratings` (one a person, whole), `text`."""
    folder = fetch(asset("dataset", "film-reviews"))
    reviews = _read_tabs(folder / "movieReviewSnippets_GroundTruth.txt", ["id", "rating", "text"])
    people = _read_tabs(folder / "movieReviewSnippets_anonDataRatings.txt", ["id", "mean", "deviation", "ratings"])
    reviews.insert(1, "ratings", people["ratings"].map(json.loads))
    return reviews


def editorials() -> list[str]:
    """Sentences of newspaper editorials, 5,190 of them: text that no experiment of the course trains on."""
    path = fetch(asset("dataset", "film-reviews")) / "nytEditorialSnippets_GroundTruth.txt"
    return list(_read_tabs(path, ["id", "rating", "text"])["text"])


def rater_agreement(ratings: Sequence[int]) -> float:
    """The share of people whose rating has the sign of the mean of the others' (0 to 1; a rating of 0 counts half).

    People for whom the others' mean is zero are left out; NaN if there is nobody else.
    """
    own = np.asarray(ratings)
    others = np.sign(own.sum() - own)
    agrees = np.where(own == 0, 0.5, np.sign(own) == others)[others != 0]
    return float(agrees.mean()) if len(agrees) else math.nan


def _read_tabs(path: Path, names: list[str]) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", header=None, names=names, index_col="id", quoting=csv.QUOTE_NONE)


def check_rows(frame: pd.DataFrame) -> None:
    """Raises ValueError, naming the row, if a text is empty or no text, or a label is no class."""
    for row, text, label in zip(frame.index, frame["text"], frame["label"], strict=True):
        if not isinstance(text, str):
            raise ValueError(message("row_not_text", row=row, given=type(text).__name__))
        if not text.strip():
            raise ValueError(message("row_empty", row=row))
        if label not in range(CLASSES):
            raise ValueError(message("row_bad_label", row=row, given=label, classes=CLASSES))


def load_splits(experiment: Experiment) -> Splits:
    """The experiment's three splits: seeded, free of duplicates within and across.

    Classification is stratified by label, and a hub data set keeps its own train/test border: the test split is drawn
    from its test part alone. Generation is split by topic, see loralab.pairs.
    Raises ValueError if a size exceeds what there is, AssetError if the data set cannot be had.
    """
    if experiment.task == "generation":
        sizes = (experiment.train_size, experiment.validation_size, experiment.test_size)
        return Splits(*question_answer_splits(experiment.dataset, sizes, experiment.split_seed))
    frame, report = _load_clean(experiment.dataset)
    seed = experiment.split_seed
    at_hand = frame[frame["part"] != "test"]
    held_out = frame[frame["part"] == "test"] if (frame["part"] == "test").any() else None
    if held_out is None:
        at_hand, test = _draw(at_hand, experiment.test_size, "test", seed)
    else:
        _, test = _draw(held_out, experiment.test_size, "test", seed)
    at_hand, validation = _draw(at_hand, experiment.validation_size, "validation", seed)
    _, train = _draw(at_hand, experiment.train_size, "train", seed)
    splits = {"train": train, "validation": validation, "test": test}
    for name, part in splits.items():
        report = report | {name: len(part), f"{name}_positive": float(part["label"].mean())}
    return Splits(**{name: part[["text", "label"]] for name, part in splits.items()}, report=report)


@lru_cache(maxsize=2)
def _load_clean(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    frame, report = _load(dataset)
    check_rows(frame)
    frame, removed = remove_duplicates(frame)
    return frame, report | removed


def remove_duplicates(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """The table without second copies and near-copies, and how many there were of each.

    Rows of a test part come first, so that it is the training copy that goes.
    """
    frame = frame.sort_values("part", key=lambda part: part != "test", kind="stable")
    exact = find_duplicates(list(frame["text"]))
    without = frame.drop(index=frame.index[[copy for _, copy in exact]])
    near = find_near_duplicates(list(without["text"]))
    copies = sorted({j for _, j, _ in near})
    return without.drop(index=without.index[copies]), {"duplicates": len(exact), "near_duplicates": len(copies)}


def _load(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    row = asset("dataset", dataset)
    if "package" in row:
        reviews = film_reviews()
        rated = reviews[reviews["rating"] != 0]
        frame = pd.DataFrame({"text": rated["text"], "label": (rated["rating"] > 0).astype(int), "part": "all"})
        return frame, {"rows": len(reviews), "zero_rating": len(reviews) - len(rated)}
    try:
        loaded = datasets.load_dataset(row["hub"], revision=row["revision"])
    except Exception as error:  # the hub's libraries raise those of several network stacks
        raise AssetError(message("hub_not_reached", name=row["hub"], error=error)) from error
    parts = [loaded[part].to_pandas()[["text", "label"]].assign(part=part) for part in ("train", "test")]
    frame = pd.concat(parts, ignore_index=True)
    return frame, {"rows": len(frame), "zero_rating": 0}


def _draw(frame: pd.DataFrame, size: int, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if not (CLASSES <= size <= len(frame) - CLASSES or size == len(frame)):  # each class on both sides
        raise ValueError(message("split_size", split=name, given=size, least=CLASSES, available=len(frame)))
    if size == len(frame):
        return frame.iloc[:0], frame.sample(frac=1, random_state=seed)
    rest, drawn = train_test_split(frame, test_size=size, stratify=frame["label"], random_state=seed)
    return rest, drawn
