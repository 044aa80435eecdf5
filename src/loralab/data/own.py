"""What somebody brings: a CSV or JSONL file, or a data set on the hub, in any of the usual shapes.

Such a data set is named by its place, a path or a hub's "org/name@revision", and after a question mark how it is to be
read: `text=review` says that the column that is `text` to the course is called `review` there, `labels=bad,good` in
which order its classes are numbered; on the hub also `config`, and `test`, the split that is the exam. Parts are joined
by "&".
"""

import csv
import io
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
import pandas as pd

from loralab.data.assets import asset
from loralab.data.hub import far, load_dataset
from loralab.files import content_name, is_own
from loralab.messages import message, one_of

# The course's names of columns, and others that they go by, in any case.
HEADINGS = {
    "text": ("texto",), "text_pair": ("texto_2",), "label": ("etiqueta",),
    "question": ("pregunta",), "answer": ("respuesta",), "topic": ("tema",),
    "instruction": ("instrucción", "instruccion"), "input": (), "output": (), "messages": (),
}  # fmt: skip
# What a data set has to have decides its track. The three shapes of the second: pairs, Alpaca's, and conversations.
SHAPES = {
    "classification": (("text", "label"),),
    "generation": (("question", "answer"), ("instruction", "output"), ("messages",)),
}
READING = (*HEADINGS, "labels", "config", "test")
LONGEST = 2**31 - 1  # characters of a CSV's field: as many as there may be
INSTRUCTION = "Answer the question."


def name_of(dataset: str) -> str:
    """What to call somebody's own data set: a file by its name, whatever folder it lies in; one on the hub in full."""
    place = dataset.partition("?")[0]
    return place if far(place) else Path(place).name


def read_table(path: Path) -> pd.DataFrame:
    """A file's rows as text, numbered from 1; missing values are None.

    A CSV has a line with the columns' names, and commas or semicolons; a JSONL has one object a line. Raises
    ValueError, naming the line, if the file is not there, not UTF-8, or cannot be read as such.
    """
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(message("file_kind", path=path.name, conversion=message("conversion", path=path.name)))
    if not path.is_file():
        raise ValueError(message("file_missing", path=path.name, folder=path.parent))
    try:
        text = path.read_bytes().decode("utf-8-sig")  # ends of lines in a text stay as they are
    except UnicodeDecodeError as error:
        raise ValueError(message("file_encoding", path=path.name, at=error.start)) from error
    rows = _read_csv(path.name, text) if path.suffix == ".csv" else _read_jsonl(path.name, text)
    if not rows:
        raise ValueError(message("file_empty", path=path.name))
    frame = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1), dtype=object)
    return frame.where(frame.notna(), None)


def _read_csv(name: str, text: str) -> list[dict[str, Any]]:
    header = re.split("[\r\n]", text, maxsplit=1)[0]
    separator = ";" if header.count(";") > header.count(",") else ","  # a Spanish spreadsheet writes semicolons
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    rows: list[dict[str, Any]] = []
    csv.field_size_limit(LONGEST)
    try:
        names = reader.fieldnames or ()
        if twice := [column for column in names if column.strip() and names.count(column) > 1]:
            raise ValueError(message("file_twice", path=name, column=twice[0]))
        for row, fields in enumerate(reader, 1):
            if None in fields:
                raise ValueError(message("file_too_many", path=name, row=row, columns=len(names)))
            rows.append(fields)
    except csv.Error as error:
        raise ValueError(message("file_not_csv", path=name, line=reader.line_num, error=error)) from error
    return rows


def _read_jsonl(name: str, text: str) -> list[dict[str, Any]]:
    rows = []
    for line, content in enumerate(text.split("\n"), 1):  # a text may hold other marks of a line's end
        if content.strip():
            try:
                rows.append(json.loads(content))
                json.dumps(rows[-1], ensure_ascii=False).encode()  # half a character is no text
            except (ValueError, RecursionError) as error:
                raise ValueError(message("file_not_json", path=name, line=line, error=error)) from error
            if not isinstance(rows[-1], dict):
                raise ValueError(message("file_not_object", path=name, line=line))
    return rows


def read_own(dataset: str) -> pd.DataFrame:
    """The rows of somebody's own data set, its columns under the course's names and others left out.

    `part` is "train" or "test" where the hub has both splits, else "all". Raises ValueError for a file that cannot be
    read, or a way of reading that does not fit it, AssetError if the hub does not give it.
    """
    return _read_own(dataset, content_name(dataset))


@lru_cache(maxsize=4)
def _read_own(dataset: str, content: str) -> pd.DataFrame:
    how, place = _how(dataset), dataset.partition("?")[0]
    frame = _from_hub(place, how) if far(place) else read_table(Path(place)).assign(part="all")
    there = {str(column).strip().lower(): str(column) for column in frame if column != "part"}
    columns, classes = {"part": "part"}, frame.attrs.get("classes", {})
    for name, others in sorted(HEADINGS.items(), key=lambda heading: heading[0] not in how):  # what is told goes first
        called = [how[name].lower()] if name in how else [name, *others]
        if name in how:
            one_of(f"?{name}", called[0], there)
        found = [there[other] for other in called if other in there and there[other] not in columns]
        columns |= {column: name for column in found[:1]}
    kept = frame[list(columns)].rename(columns=columns)
    named = next((classes[column] for column, name in columns.items() if name == "label" and column in classes), None)
    kept.attrs = {"classes": named, "columns": ", ".join(there.values())}
    return kept


def _how(dataset: str) -> dict[str, str]:
    told = [part.partition("=") for part in dataset.partition("?")[2].split("&") if part]
    for name, _, _ in told:
        one_of("?", name, READING)
    return {name: value for name, _, value in told}


def _from_hub(place: str, how: dict[str, str]) -> pd.DataFrame:
    name, _, revision = place.partition("@")
    loaded = load_dataset({"hub": name, "revision": revision or "main", "config": how.get("config")})
    exam, parts, classes = how.get("test", "test"), [], {}
    border = {"train", exam} <= set(loaded)
    for split in ("train", exam) if border else loaded:
        part = loaded[split].to_pandas()
        for column, kind in loaded[split].features.items():
            if isinstance(kind, datasets.ClassLabel):
                if (part[column] < 0).all():
                    raise ValueError(message("hub_hidden", name=place, split=split))
                part[column] = [kind.names[int(n)] if n >= 0 else None for n in part[column]]
                classes[column] = kind.names
            elif part[column].dtype.kind == "f" and (part[column] % 1 == 0).all():
                part[column] = part[column].astype(int)
        parts.append(part.astype(object).assign(part="all" if not border else "test" if split == exam else "train"))
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs["classes"] = classes
    return frame


def task_of(dataset: str) -> str:
    """The track that a data set is for, by its columns. Raises ValueError, with the way out, if it is for none."""
    frame, name = read_own(dataset), name_of(dataset)
    for task, shapes in SHAPES.items():
        if any(set(shape) <= set(frame) for shape in shapes):
            return task
    either = " / ".join(", ".join(shape) for shapes in SHAPES.values() for shape in shapes)
    conversion = "" if far(name) else message("conversion", path=name)
    about = {"given": frame.attrs["columns"], "either": either, "conversion": conversion}
    raise ValueError(message("file_columns", path=name, **about))


def _checked(dataset: str, task: str, *columns: str) -> pd.DataFrame:
    """Those of a track's columns that are there, and `part`; each value a text, or a label a number, and none missing.

    Raises ValueError, naming row and field, for another value, or data of the other track.
    """
    frame, name = read_own(dataset), name_of(dataset)
    if task_of(dataset) != task:
        either = " / ".join(", ".join(shape) for shape in SHAPES[task])
        raise ValueError(message("file_other_track", path=name, either=either))
    frame = frame[[column for column in (*columns, "part") if column in frame]]
    for field, values in frame.items():
        for row, value in values.items():
            if value is None or (isinstance(value, str) and not value.strip()):
                raise ValueError(message("file_value_empty", path=name, row=row, field=field))
            if not isinstance(value, str) and (field != "label" or not isinstance(value, int)):
                given = type(value).__name__
                raise ValueError(message("file_value_kind", path=name, row=row, field=field, given=given))
    return frame


def _labelled(dataset: str) -> pd.DataFrame:
    frame = _checked(dataset, "classification", "text", "text_pair", "label")
    return frame.assign(label=frame["label"].astype(str).str.strip())


def label_names(dataset: str) -> list[str]:
    """The names of the classes of a classification data set, in the order of their numbers.

    Of one's own: that of `labels` after the question mark; of a hub's own names; of labels that are themselves 0, 1, …;
    else that in which they first appear. Raises ValueError for fewer than two, or if `labels` are not those there.
    """
    return _classes_of(dataset) if is_own(dataset) else list(asset("dataset", dataset)["labels"])


def _classes_of(dataset: str) -> list[str]:
    there, how = list(dict.fromkeys(_labelled(dataset)["label"])), _how(dataset)
    if "labels" in how:
        wanted = [name.strip() for name in how["labels"].split(",")]
    elif set(there) == set(map(str, range(len(there)))):
        wanted = sorted(there, key=int)
    else:
        wanted = [name for name in read_own(dataset).attrs.get("classes") or there if name in there]
    if len(there) < 2 or sorted(wanted) != sorted(there):
        listed = {"there": ", ".join(there[:20]), "wanted": ", ".join(wanted[:20])}
        raise ValueError(message("file_labels", path=name_of(dataset), **listed))
    return wanted


def read_labelled(dataset: str) -> pd.DataFrame:
    """Texts and labels: `text`, `text_pair` if there is one, `label`, the number of its class, and `part`.

    Raises ValueError, naming row and field, for a value that is missing or no text, and what `label_names` raises.
    """
    return _labelled(dataset).assign(label=lambda frame: frame["label"].map(_classes_of(dataset).index))


def read_pairs(dataset: str) -> pd.DataFrame:
    """Questions and answers: `instruction`, `input`, `output`, `topic` if there is one, and `history`, earlier turns.

    Of Alpaca's rows the instruction is the question, with the input after it, unless it is the same in all; of a
    conversation the last answer counts, and what was said before it is read. Raises ValueError, naming row and field,
    for a value that is missing or no text, or turns that do not take turns.
    """
    frame = read_own(dataset)
    pairs = _checked(dataset, "generation", "instruction", "question", "answer", "output", "topic")
    if {"question", "answer"} <= set(frame):
        pairs = pairs.rename(columns={"question": "input"}).assign(output=pairs["answer"])
    elif "messages" in frame:
        told = [_turns(name_of(dataset), row, turns) for row, turns in frame["messages"].items()]
        pairs = pairs[pairs.columns.difference(["instruction", "output"])].join(pd.DataFrame(told, frame.index))
    else:
        given = frame["input"].fillna("").map(str).str.strip() if "input" in frame else pd.Series("", frame.index)
        if pairs["instruction"].nunique() > 1 or not all(given):
            given, pairs = (pairs["instruction"] + "\n\n" + given).str.strip(), pairs.drop(columns="instruction")
        pairs = pairs.assign(input=given)
    pairs = pairs if "instruction" in pairs else pairs.assign(instruction=INSTRUCTION)
    return pairs[[name for name in ("instruction", "input", "output", "topic", "history") if name in pairs]]


def _turns(name: str, row: Any, turns: Any) -> dict[str, Any]:
    """A conversation's last question and answer, the system message, and the pairs before."""
    try:
        said = [(turn["role"], turn["content"].strip()) for turn in turns]
    except (TypeError, KeyError, AttributeError):
        said = []
    system = [text for role, text in said if role == "system"]
    talk = [turn for turn in said if turn[0] != "system"]
    if talk and talk[-1][0] == "user":
        talk.pop()  # nobody answered it
    roles, texts = [role for role, _ in talk], [text for _, text in talk]
    if not talk or roles != ["user", "assistant"] * (len(talk) // 2) or not all(texts):
        raise ValueError(message("file_turns", path=name, row=row))
    *history, (question, answer) = zip(texts[::2], texts[1::2], strict=True)
    start = {"instruction": system[0] if system else INSTRUCTION, "history": tuple(history)}
    return start | {"input": question, "output": answer}
