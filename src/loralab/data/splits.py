"""Load a data set, take out what would make a score a lie, and split it."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from loralab.data.assets import asset, fetch
from loralab.data.hub import load_dataset
from loralab.data.own import label_names, name_of, read_labelled, read_pairs
from loralab.data.texts import find_duplicates, find_near_duplicates, words
from loralab.experiment import ALL, Experiment
from loralab.files import content_name, is_file, is_own
from loralab.messages import message

ROWS_OF_A_CLASS = 8
COLUMNS = ["instruction", "input", "output", "topic"]
# Of the topics. The original practical's 26,570 pairs, which have none, were split 80/20 as well.
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True, eq=False)
class Splits:
    """Three disjoint tables, and how they came about. Equal if their rows are.

    Classification: columns `text`, `text_pair` where there are two texts, and `label`; `report` counts rows: read, left
    out for a zero rating, duplicates and near-duplicates left out, and the rows of each split, with the share of the
    second class where there are two. Generation: columns COLUMNS; `report` is what `question_answer_splits` counts.
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
    drawn. A data set that stays `outside` of a study draws training and validation from that study's, and the test from
    what the study left over. Generation is split by topic, see `question_answer_splits`. Raises ValueError if a size
    exceeds what there is, or, naming it, a class has too few rows, AssetError if the data set cannot be had.
    """
    if experiment.task == "generation":
        sizes = (experiment.train_size, experiment.validation_size, experiment.test_size)
        return Splits(*question_answer_splits(experiment.dataset, sizes, experiment.split_seed))
    seed = experiment.split_seed
    frame, report = _clean(experiment.dataset, seed, *_rows_needed(experiment), content_name(experiment.dataset))
    at_hand, drawn = frame[frame["part"].isin(["all", "train"])], {}
    for name, size in (("test", experiment.test_size), ("validation", experiment.validation_size)):
        part = frame[frame["part"] == name]
        rest, drawn[name] = _draw(at_hand if part.empty else part, size, name, seed)
        at_hand = rest if part.empty else at_hand
    train_size = len(at_hand) if isinstance(experiment.train_size, str) else experiment.train_size
    _, train = _draw(at_hand, train_size, "train", seed)
    splits = {"train": train, "validation": drawn["validation"], "test": drawn["test"]}
    for name, part in splits.items():
        share = {f"{name}_positive": float(part["label"].mean())} if frame["label"].max() == 1 else {}
        report = report | {name: len(part)} | share
    return Splits(**{name: part.drop(columns="part") for name, part in splits.items()}, report=report)


@lru_cache(maxsize=4)
def _clean(
    dataset: str, seed: int, train: int | None, test: int | None, key: str
) -> tuple[pd.DataFrame, dict[str, float]]:
    """The rows that may be drawn, without copies, and what was counted.

    Of a hub's with a border those are random rows of each part: as many as are asked for (None: all), and a tenth more
    for the copies that go. To look for copies among all 50,000 reviews of IMDB takes minutes. The test's depend on its
    own size alone, so that experiments of other training sizes sit the same exam.
    """
    frame, report = load_rows(dataset)
    for label, name in enumerate(label_names(dataset)):
        there = min(int((rows["label"] == label).sum()) for _, rows in frame.groupby("part"))
        if there < ROWS_OF_A_CLASS:
            given = {"path": name_of(dataset), "name": name[:80], "rows": there, "least": ROWS_OF_A_CLASS}
            raise ValueError(message("class_too_small", **given))
    if test is not None and (frame["part"] == "test").any():
        parts = []
        for name, size in (("train", train), ("test", test)):
            part = frame[frame["part"] == name]
            most = len(part) if size is None else min(int(1.1 * size) + 100, len(part))
            parts.append(part.sample(most, random_state=seed).sort_index())
        frame = pd.concat(parts)
    frame, removed = remove_duplicates(frame)
    return frame, report | removed


def _rows_needed(experiment: Experiment) -> tuple[int | None, int | None]:
    """How many rows are drawn from a hub's training part (None: all), and from its test part; of what is here, all."""
    own, dataset = is_own(experiment.dataset), experiment.dataset
    if is_file(dataset) if own else "hub" not in asset("dataset", dataset):
        return None, None
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
    copies = sorted({j for _, j, _ in find_near_duplicates(whole_texts(without))})
    return without.drop(index=without.index[copies]), {"duplicates": len(exact), "near_duplicates": len(copies)}


def load_rows(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    """Every usable row of a classification data set, as `Splits` has them, with the `part` that it comes from.

    `part` is "train" or "test" where the data set has such a border, else "all"; where it stays outside of a study, the
    split that may draw the row, or "seen". Raises ValueError for data of another kind, AssetError if it cannot be had.
    """
    if not is_own(dataset):
        return _load_known(dataset)
    frame = read_labelled(dataset)
    return frame, {"rows": len(frame), "zero_rating": 0}


@lru_cache(maxsize=2)
def _load_known(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    row = asset("dataset", dataset)
    if "hub" in row and "columns" in row:
        loaded, names = load_dataset(row), dict(zip(row["columns"], ("text", "text_pair"), strict=False))
        parts = [
            loaded[split].to_pandas()[[*names, "label"]].rename(columns=names).assign(part=part)
            for part, split in (("train", "train"), ("test", row.get("test", "test")))
        ]
        return (frame := pd.concat(parts, ignore_index=True)), {"rows": len(frame), "zero_rating": 0}
    if "rated" not in row:
        raise ValueError(message("no_labels", given=dataset))
    folder = fetch(asset("dataset", "film-reviews"))
    reviews = _read_tabs(folder / row["rated"], ["id", "rating", "text"])
    if row.get("pairs"):
        return film_pairs().assign(part="all"), {"rows": len(reviews) // 2, "zero_rating": 0}
    rated = reviews[reviews["rating"] != 0]
    frame = pd.DataFrame({"text": rated["text"], "label": (rated["rating"] > 0).astype(int), "part": "all"})
    if "outside" in row:
        # Copies count as seen: as rows of the test they would stay, and the study's own would go.
        frame["part"], study = "seen", Experiment(model="", method="majority", **row["outside"])
        earlier, every = load_splits(study), load_splits(study.but(train_size=ALL))
        for part, rows in (("test", every.train), ("train", earlier.train), ("validation", earlier.validation)):
            frame.loc[rows.index, "part"] = part
    return frame, {"rows": len(reviews), "zero_rating": len(reviews) - len(rated)}


def _draw(frame: pd.DataFrame, size: int, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    least = frame["label"].nunique()  # each class on both sides
    left = len(frame) - size
    if size < least or (left < (0 if name == "train" else least) and left):
        raise ValueError(message("split_size", split=name, given=size, least=least, available=len(frame)))
    if left < least:  # of what is left over nothing is used
        return frame.iloc[:0], frame.sample(size, random_state=seed)
    together = frame["label"] if frame["label"].value_counts().min() > 1 else None
    rest, drawn = train_test_split(frame, test_size=size, stratify=together, random_state=seed)
    return rest, drawn


def question_answer_splits(
    dataset: str, sizes: tuple[int | str, int, int], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Train, validation and test (columns COLUMNS) of these sizes, no topic in two of them, and what was counted.

    A fifth of the topics is the test's, a tenth validation's; the seed says which. The first k rows of a split spread
    over its topics as evenly as can be, for any k. A training size of "all" takes all there is. The report counts rows
    read, incomplete ones and copies left out, `alike` ones kept out of training and validation (see `parts_of`), and
    the rows and topics of each split. Raises ValueError if a size exceeds that, AssetError if the data cannot be had.
    """
    frame, report = load_pairs(dataset)
    parts, drawn = parts_of(dataset, seed), []
    if not frame.attrs["topics"]:
        report = report | {"alike": len(frame) - sum(map(len, parts))}
    for name, part, size in zip(("train", "validation", "test"), parts, sizes, strict=True):
        if size != ALL and int(size) > len(part):
            raise ValueError(message("split_too_small", split=name, given=size, available=len(part)))
        mixed = part.sample(frac=1, random_state=seed)
        # Round the topics: a random row of each, then another of each, and so on.
        spread = mixed.iloc[mixed.groupby("topic").cumcount().argsort(kind="stable")]
        drawn.append(spread.head(len(part) if size == ALL else int(size)))
        report = report | {name: len(drawn[-1]), f"{name}_topics": drawn[-1]["topic"].nunique()}
    return drawn[0], drawn[1], drawn[2], report


def load_pairs(dataset: str) -> tuple[pd.DataFrame, dict[str, float]]:
    """Every usable pair of a data set (columns COLUMNS), and how many were read and left out.

    Of conversations that have had more turns there is also `history`, see loralab.data.own. Columns that the course
    does not know are dropped. Where there is no `topic`, the question's words stand for it. Rows without a question, or
    whose answer is empty or nothing but an address, are incomplete and left out. Raises ValueError, naming what is
    missing or the row, if a column is missing or a value no text, AssetError if the data set cannot be had.
    """
    return _load(dataset, content_name(dataset))


@lru_cache(maxsize=4)
def _load(dataset: str, content: str) -> tuple[pd.DataFrame, dict[str, float]]:
    frame = _read(dataset)
    missing = [name for name in COLUMNS[:3] if name not in frame]
    if missing:
        raise ValueError(message("columns_missing", given=", ".join(map(str, frame)), missing=", ".join(missing)))
    given = "topic" in frame
    if not given:
        frame["topic"] = frame["input"].fillna("").map(lambda question: " ".join(words(str(question))))
    frame[COLUMNS] = frame[COLUMNS].fillna("")
    for row, value in (pair for name in COLUMNS for pair in frame[name].items()):
        if not isinstance(value, str):
            raise ValueError(message("row_not_text", row=row, given=value))
    frame[COLUMNS] = frame[COLUMNS].map(str.strip)
    frame = frame[[*COLUMNS, *(["history"] if "history" in frame else [])]]
    incomplete = (frame["input"] == "") | frame["output"].str.fullmatch(r"(https?://\S+\s*)*")
    kept = frame[~incomplete]
    copies = {copy for _, copy in find_duplicates(list(kept["input"] + " \n " + kept["output"]))}
    kept = kept.drop(index=kept.index[sorted(copies)])
    kept.attrs["topics"] = given
    return kept, {"rows": len(frame), "incomplete": int(incomplete.sum()), "duplicates": len(copies)}


def _read(dataset: str) -> pd.DataFrame:
    if is_own(dataset):
        return read_pairs(dataset)
    row = asset("dataset", dataset)
    if "path" in row:
        return pd.read_json(files("loralab_data").joinpath(row["path"]).open(encoding="utf-8"), lines=True)
    if "hub" not in row or "columns" in row:
        raise ValueError(message("no_pairs", given=dataset))
    return pd.concat([part.to_pandas() for part in load_dataset(row).values()], ignore_index=True)


def parts_of(dataset: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The pairs of the topics of train, validation and test.

    Without topics questions that are nearly alike are kept apart: the test keeps its own, then validation. Raises
    ValueError if there are fewer than three topics, and what `load_pairs` raises.
    """
    return _parts_of(dataset, content_name(dataset), seed)


@lru_cache(maxsize=4)
def _parts_of(dataset: str, content: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    frame, _ = load_pairs(dataset)
    if (topics := frame["topic"].nunique()) < 3:
        raise ValueError(message("too_few_topics", path=name_of(dataset), given=topics))
    rest, test = _part(frame, TEST_SHARE, seed)
    train, validation = _part(rest, VALIDATION_SHARE / (1 - TEST_SHARE), seed)
    if not frame.attrs["topics"]:
        every = pd.concat([test, validation, train])
        part = [0] * len(test) + [1] * len(validation) + [2] * len(train)
        alike = {j for i, j, _ in find_near_duplicates(every["input"].tolist()) if part[i] != part[j]}
        train, validation = (t.drop(index=every.index[sorted(alike)], errors="ignore") for t in (train, validation))
    return train, validation, test


def _part(frame: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rest, and the rows of that share of the topics."""
    splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    rest, part = next(splitter.split(frame, groups=frame["topic"]))
    return frame.iloc[rest], frame.iloc[part]
