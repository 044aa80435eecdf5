"""A table of the student's own, CSV or JSONL: text and label, or question and answer."""

import csv
import io
import json
from pathlib import Path

import pandas as pd

from loralab.messages import message

# What a file holds decides its track. text_pair, instruction and topic may be there as well.
COLUMNS = {"classification": ("text", "label"), "generation": ("question", "answer")}
OPTIONAL = {"classification": ("text_pair",), "generation": ("instruction", "topic")}
INSTRUCTION = "Answer the question."
CLASSES = 2


def read_table(path: Path) -> pd.DataFrame:
    """A file's rows as text, numbered from 1; missing values are None.

    A CSV has a line with the columns' names, and commas or semicolons; a JSONL has one object a line. Raises
    ValueError, naming the line, if the file is not there, not UTF-8, or cannot be read as such.
    """
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(message("file_kind", path=path.name))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError(message("file_missing", path=path.name, folder=path.parent)) from error
    except UnicodeDecodeError as error:
        raise ValueError(message("file_encoding", path=path.name, at=error.start)) from error
    frame = _read_csv(path.name, text) if path.suffix == ".csv" else _read_jsonl(path.name, text)
    if frame.empty:
        raise ValueError(message("file_empty", path=path.name))
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame.astype(object).where(frame.notna(), None)


def _read_csv(name: str, text: str) -> pd.DataFrame:
    header = text.split("\n", 1)[0]
    separator = ";" if header.count(";") > header.count(",") else ","  # a Spanish spreadsheet writes semicolons
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    rows = []
    try:
        for row, fields in enumerate(reader, 1):
            if None in fields:
                raise ValueError(message("file_too_many", path=name, row=row, columns=len(reader.fieldnames or ())))
            rows.append(fields)
    except csv.Error as error:
        raise ValueError(message("file_not_csv", path=name, line=reader.line_num, error=error)) from error
    return pd.DataFrame(rows)


def _read_jsonl(name: str, text: str) -> pd.DataFrame:
    rows = []
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as error:
            raise ValueError(message("file_not_json", path=name, line=line, error=error)) from error
        if not isinstance(row, dict):
            raise ValueError(message("file_not_object", path=name, line=line))
        rows.append(row)
    return pd.DataFrame(rows)


def task_of(path: Path) -> str:
    """The track that a file is for, by its columns. Raises ValueError, naming what is missing, if it is for none."""
    there = [str(name) for name in read_table(path)]
    for task, needed in COLUMNS.items():
        if set(needed) <= set(there):
            return task
    either = " / ".join(", ".join(names) for names in COLUMNS.values())
    raise ValueError(message("file_columns", path=path.name, given=", ".join(there), either=either))


def read_labelled(path: Path) -> pd.DataFrame:
    """A file of texts and labels: `text`, `text_pair` if it has one, and `label`, 0 or 1 in the labels' sorted order.

    Raises ValueError, naming row and field, for a value that is missing or no text, or a third label.
    """
    frame = _checked(path, "classification")
    labels, classes = frame["label"].astype(str).str.strip(), classes_of(frame)
    if len(classes) != CLASSES:
        extra = labels[~labels.isin(list(dict.fromkeys(labels))[:CLASSES])]
        row = extra.index[0] if len(extra) else frame.index[0]
        listed = ", ".join(classes[:10])
        raise ValueError(message("file_labels", path=path.name, row=row, given=labels[row], listed=listed))
    return frame.assign(label=labels.map(classes.index))


def classes_of(frame: pd.DataFrame) -> list[str]:
    """The names of a file's classes, in the order of their numbers."""
    return sorted(frame["label"].astype(str).str.strip().unique())


def read_pairs(path: Path) -> pd.DataFrame:
    """A file of questions and answers, in the columns `instruction`, `input`, `output`, and `topic` if it has one.

    Raises ValueError, naming row and field, for a value that is missing or no text.
    """
    frame = _checked(path, "generation").rename(columns={"question": "input", "answer": "output"})
    return frame if "instruction" in frame else frame.assign(instruction=INSTRUCTION)


def _checked(path: Path, task: str) -> pd.DataFrame:
    frame = read_table(path)
    missing = [name for name in COLUMNS[task] if name not in frame]
    if missing:
        given = ", ".join(map(str, frame))
        raise ValueError(message("file_column", path=path.name, missing=", ".join(missing), given=given))
    kept = frame[[name for name in (*COLUMNS[task], *OPTIONAL[task]) if name in frame]]
    for name, values in kept.items():
        for row, value in values.items():
            where = {"path": path.name, "row": row, "field": name}
            if value is None or (isinstance(value, str) and not value.strip()):
                raise ValueError(message("file_value_empty", **where))
            if not isinstance(value, str) and (name != "label" or not isinstance(value, int)):
                raise ValueError(message("file_value_kind", given=type(value).__name__, **where))
    return kept


def check_texts(texts: pd.Series) -> None:
    """Raises ValueError, naming the row, if a value is no text."""
    for row, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(message("row_not_text", row=row, given=type(text).__name__))


def check_rows(frame: pd.DataFrame) -> None:
    """Raises ValueError, naming the row, if a text is empty or no text, or a label is no class."""
    for name in ("text", "text_pair"):
        if name in frame:
            check_texts(frame[name])
            for row in frame.index[frame[name].str.strip() == ""]:
                raise ValueError(message("row_empty", row=row))
    for row, label in frame["label"].items():
        if label not in range(CLASSES):
            raise ValueError(message("row_bad_label", row=row, given=label, classes=CLASSES))
