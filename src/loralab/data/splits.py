"""Load a data set, take out what would make a score a lie, and split it."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from loralab.data.assets import asset, fetch
from loralab.data.duplicates import find_duplicates, find_near_duplicates
from loralab.data.files import CLASSES, check_rows, classes_of, read_labelled, read_table
from loralab.data.hub import load_dataset
from loralab.data.pairs import question_answer_splits
from loralab.experiment import Experiment, content_name, is_file
from loralab.messages import message


@dataclass(frozen=True, eq=False)
class Splits:
    """Three disjoint tables, and how they came about. Equal if their rows are.

    Classification: columns `text`, `text_pair` where there are two texts, and `label`; `report` counts rows: read, left
    out for a zero rating, duplicates and near-duplicates left out, and the rows and the share of positives of each
    split. Generation: columns as in loralab.data.pairs.COLUMNS; `report` is what loralab.data.pairs counts.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    report: dict[str, float]

    def items(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """The splits by name, in order."""
        yield from (("train", self.train), ("validation", self.validation), ("test", self.test))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Splits) and self.fingerprint() == other.fingerprint()

    def __hash__(self) -> int:
        return hash(self.fingerprint())

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


def film_pairs() -> pd.DataFrame:
    """Two snippets a row, `text` and `text_pair`; `label` is 1 if the first is the more favourable, by a point or more.

    Each snippet stands in one row at most, copies left out, so that no split knows another's.
    """
    rated, _ = remove_duplicates(film_reviews().query("rating != 0").assign(part="all"))
    rated = rated.sample(frac=1, random_state=0)
    first, second = rated.iloc[0::2].reset_index(), rated.iloc[1::2].reset_index()
    gap = first["rating"] - second["rating"]
    pairs = pd.DataFrame({"text": first["text"], "text_pair": second["text"], "label": (gap > 0).astype(int)})
    return pairs[gap.abs() >= 1]


def editorials() -> list[str]:
    """Sentences of newspaper editorials, 5,190 of them: text that no experiment of the course trains on."""
    path = fetch(asset("dataset", "film-reviews")) / "nytEditorialSnippets_GroundTruth.txt"
    return list(_read_tabs(path, ["id", "rating", "text"])["text"])


def _read_tabs(path: Path, names: list[str]) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", header=None, names=names, index_col="id", quoting=csv.QUOTE_NONE)


def whole_texts(frame: pd.DataFrame) -> list[str]:
    """Each row's text, with its second text after it if there is one."""
    return list(frame["text"] + "\n" + frame["text_pair"] if "text_pair" in frame else frame["text"])


def load_splits(experiment: Experiment) -> Splits:
    """The experiment's three splits: seeded, free of duplicates within and across.

    Classification is stratified by label, and a hub data set keeps its own border: the test split is drawn from its
    test part alone (its validation part, where the test's labels are hidden). Copies are looked for in what may be
    drawn. Generation is split by topic, see loralab.data.pairs. Raises ValueError if a size exceeds what there is,
    AssetError if the data set cannot be had.
    """
    if experiment.task == "generation":
        sizes = (experiment.train_size, experiment.validation_size, experiment.test_size)
        return Splits(*question_answer_splits(experiment.dataset, sizes, experiment.split_seed))
    seed = experiment.split_seed
    frame, report = _clean(experiment.dataset, seed, *_rows_needed(experiment), content_name(experiment.dataset))
    at_hand, held_out = frame[frame["part"] != "test"], frame[frame["part"] == "test"]
    rest, test = _draw(at_hand if held_out.empty else held_out, experiment.test_size, "test", seed)
    at_hand = rest if held_out.empty else at_hand
    at_hand, validation = _draw(at_hand, experiment.validation_size, "validation", seed)
    train_size = len(at_hand) if isinstance(experiment.train_size, str) else experiment.train_size
    _, train = _draw(at_hand, train_size, "train", seed)
    splits = {"train": train, "validation": validation, "test": test}
    for name, part in splits.items():
        report = report | {name: len(part), f"{name}_positive": float(part["label"].mean())}
    return Splits(**{name: part.drop(columns="part") for name, part in splits.items()}, report=report)


@lru_cache(maxsize=4)
def _clean(
    dataset: str, seed: int, train: int | None, test: int, content: str
) -> tuple[pd.DataFrame, dict[str, float]]:
    """The rows that may be drawn, without copies, and what was counted.

    Of a data set with a border those are random rows of each part: as many as are asked for (None: all), and a tenth
    more for the copies that go. To look for copies among all 50,000 reviews of IMDB takes minutes. The test's depend
    on its own size alone, so that experiments of other training sizes sit the same exam.
    """
    frame, report = load_rows(dataset)
    if (frame["part"] == "test").any():
        parts = []
        for name, size in (("train", train), ("test", test)):
            part = frame[frame["part"] == name]
            most = len(part) if size is None else min(int(1.1 * size) + 100, len(part))
            parts.append(part.sample(most, random_state=seed).sort_index())
        frame = pd.concat(parts)
    frame, removed = remove_duplicates(frame)
    return frame, report | removed


def _rows_needed(experiment: Experiment) -> tuple[int | None, int]:
    """How many rows are drawn from a training part (None: all), and from a test part; without a border all are."""
    if is_file(experiment.dataset) or "hub" not in asset("dataset", experiment.dataset):
        return None, 0
    if isinstance(experiment.train_size, str):  # "all"
        return None, experiment.test_size
    return experiment.train_size + experiment.validation_size, experiment.test_size


def remove_duplicates(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """The table without second copies and near-copies, and how many there were of each.

    Rows of a test part come first, so that it is the training copy that goes.
    """
    frame = frame.sort_values("part", key=lambda part: part != "test", kind="stable")
    exact = find_duplicates(whole_texts(frame))
    without = frame.drop(index=frame.index[[copy for _, copy in exact]])
    near = find_near_duplicates(whole_texts(without))
    copies = sorted({j for _, j, _ in near})
    return without.drop(index=without.index[copies]), {"duplicates": len(exact), "near_duplicates": len(copies)}


def load_rows(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    """Every usable row of a classification data set, as `Splits` has them, with the `part` that it comes from.

    `part` is "train" or "test" where the data set has such a border, else "all". Raises ValueError for a data set of
    another kind, AssetError if it cannot be had.
    """
    if is_file(dataset):
        frame = read_labelled(Path(dataset))
        return frame.assign(part="all"), {"rows": len(frame), "zero_rating": 0}
    frame, report = _load_known(dataset)
    check_rows(frame)
    return frame, report


def label_names(dataset: str) -> list[str]:
    """What the classes of a classification data set are called, in the order of their numbers."""
    if is_file(dataset):
        return classes_of(read_table(Path(dataset)))
    return list(asset("dataset", dataset)["labels"])


@lru_cache(maxsize=2)
def _load_known(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    row = asset("dataset", dataset)
    if "hub" in row and "columns" in row:
        loaded, names = load_dataset(row), dict(zip(row["columns"], ("text", "text_pair"), strict=False))
        parts = [
            loaded[split].to_pandas()[[*names, "label"]].rename(columns=names).assign(part=part)
            for part, split in (("train", "train"), ("test", row.get("test", "test")))
        ]
        frame = pd.concat(parts, ignore_index=True)
        return frame, {"rows": len(frame), "zero_rating": 0}
    if "rated" not in row:
        raise ValueError(message("no_labels", given=dataset))
    folder = fetch(asset("dataset", "film-reviews"))
    reviews = _read_tabs(folder / row["rated"], ["id", "rating", "text"])
    if row.get("pairs"):
        frame = film_pairs().assign(part="all")
        return frame, {"rows": len(reviews) // 2, "zero_rating": 0}
    rated = reviews[reviews["rating"] != 0]
    frame = pd.DataFrame({"text": rated["text"], "label": (rated["rating"] > 0).astype(int), "part": "all"})
    return frame, {"rows": len(reviews), "zero_rating": len(reviews) - len(rated)}


def _draw(frame: pd.DataFrame, size: int, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if not (CLASSES <= size <= len(frame) - CLASSES or size == len(frame)):  # each class on both sides
        raise ValueError(message("split_size", split=name, given=size, least=CLASSES, available=len(frame)))
    if size == len(frame):
        return frame.iloc[:0], frame.sample(frac=1, random_state=seed)
    rest, drawn = train_test_split(frame, test_size=size, stratify=frame["label"], random_state=seed)
    return rest, drawn
