"""What anybody may hand to the course: files of data, profiles and experiments, sound, broken or malicious.

Each either works or is refused with a ValueError that names it, in seconds. Hypothesis tries the same each time.
"""

import csv
import io
import json
import signal
import string
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loralab.data.own import label_names, read_labelled, read_pairs
from loralab.experiment import Experiment
from loralab.lessons.start import FIELDS, chosen_profile, own_profile
from loralab.profiles import load_profile

bounded = settings(max_examples=60, deadline=None, derandomize=True, database=None)
SECONDS = 60


class Late(BaseException):
    """Nobody's handler for an error takes it."""


@contextmanager
def in_time():
    """Fails what takes longer than SECONDS."""

    def late(*_):
        raise Late(f"it hangs: {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def labelled(i):
    return {"text": f"text {i} has {i * 7} words of {i * 13} kinds", "label": ("no", "yes")[i % 2]}


def asked(i):
    return {"question": f"What of {i} and {i * 13}?", "answer": f"It is {i * 7}.", "topic": f"t{i % 10}"}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(rows, separator=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def with_row(row, rows=None):
    """200 rows, the eleventh another one."""
    rows = rows or [labelled(i) for i in range(200)]
    return [*rows[:10], row, *rows[11:]]


TEXTS, PAIRS = [labelled(i) for i in range(200)], [asked(i) for i in range(200)]
VALUES = {
    "null": None, "empty": "", "blank": " \t\n", "a number": 5, "a fraction": 2.5, "yes": True, "a list": ["a"],
    "an object": {"a": 1}, "no-break": "\u00a0", "a line's end": "a\u2028b\u0085c\rd", "right to left": "\u202eabc",
    "an emoji": "👩‍👩‍👧", "nothing": "\0", "markup": "<script>alert(1)</script>", "a formula": "=1+1",
    "long": "word " * 40_000, "a path": "../../etc/passwd", "a token": "<|im_end|><|im_start|>system",
    "combining": "a" + "\u0301" * 500,
}  # fmt: skip
# What holds text that is a text: the rest is refused by row and field.
FINE = {"a line's end", "right to left", "an emoji", "nothing", "markup", "a formula", "long", "a path", "a token"}
FINE |= {"combining"}
FILES = {
    **{f"text: {name}.jsonl": lines(with_row({"text": value, "label": "no"})) for name, value in VALUES.items()},
    **{f"label: {name}.jsonl": lines(with_row({"text": "fine", "label": value})) for name, value in VALUES.items()},
    **{
        f"answer: {name}.jsonl": lines(with_row({"question": "What?", "answer": value, "topic": "t1"}, PAIRS))
        for name, value in VALUES.items()
    },
    "half a character.jsonl": lines(with_row({"text": "\ud800", "label": "no"})),
    "no number.jsonl": lines(with_row({"text": "fine", "label": float("nan")})),
    "without end.jsonl": lines(with_row({"text": "fine", "label": float("inf")})),
    "a huge number.jsonl": lines(with_row({"text": "fine", "label": 10**30})),
    "numbers of 5,000 digits.jsonl": '{"text": "a", "label": ' + "9" * 5000 + "}\n",
    "deep.jsonl": "[" * 100_000,
    "deep object.jsonl": '{"a":' * 100_000,
    "no object.jsonl": '["a", 1]\n',
    "cut.jsonl": lines(TEXTS)[:-9],
    "empty.jsonl": "",
    "blank.jsonl": "\n\n\n",
    "one topic.jsonl": lines([row | {"topic": "t"} for row in PAIRS]),
    "a topic each.jsonl": lines([row | {"topic": str(i)} for i, row in enumerate(PAIRS)]),
    "turns that are none.jsonl": lines([{"messages": None}] * 100),
    "no answer.jsonl": lines([{"messages": [{"role": "user", "content": f"q {i}"}]} for i in range(100)]),
    "a turn without a role.jsonl": lines([{"messages": [{"content": f"q {i}"}]} for i in range(100)]),
    "turns in turns.jsonl": lines([{"messages": [[["a"]]]}] * 100),
    "same.csv": table([{"text": "the same", "label": i % 2} for i in range(200)]),
    "one class.csv": table([row | {"label": "a"} for row in TEXTS]),
    "a class each.csv": table([row | {"label": str(i)} for i, row in enumerate(TEXTS)]),
    "semicolons.csv": table(TEXTS, ";"),
    "tabs.csv": table(TEXTS, "\t"),
    "header.csv": "text,label\n",
    "empty.csv": "",
    "twice.csv": table(TEXTS).replace("text,label", "text,text", 1),
    "unnamed.csv": table(TEXTS).replace("text,label", ",", 1),
    "open header.csv": '"text,label\n' + table(TEXTS),
    "commas at the end.csv": table(TEXTS).replace("text,label", "text,label,,", 1),
    "open.csv": table(TEXTS) + '"fine,no\n',
    "too many.csv": table(TEXTS) + "a,b,c\n",
    "too few.csv": table(TEXTS) + "a\n",
    "nothing.csv": table(TEXTS) + "a\0b,no\n",
    "wide.csv": "text,label" + ",x" * 5000 + "\n" + "a,no" + ",1" * 5000 + "\n",
    "long.csv": table(with_row({"text": "word " * 40_000, "label": "no"})),
}

REFUSED = {
    "half a character", "no number", "without end", "numbers of 5,000 digits", "deep", "deep object", "no object",
    "cut", "empty", "blank", "one topic", "turns that are none", "no answer", "a turn without a role", "turns in turns",
    "same", "one class", "a class each", "tabs", "header", "twice", "unnamed", "open", "open header", "too many",
    "too few", "wide", "label: null", "label: empty", "label: blank", "label: a fraction", "label: a list",
    "label: an object", "label: no-break",
}  # fmt: skip


def brought(path, monkeypatch):
    """The profile on that file, or the sentence that refuses it, which names the file."""
    monkeypatch.setenv("LORALAB_PROFILE", "smoke")
    monkeypatch.setenv("LORALAB_DATA", str(path))
    with in_time():
        try:
            return chosen_profile()
        except ValueError as error:
            assert path.name in str(error), error
            return str(error)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_works_or_is_refused_by_name(name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8", newline="")
    said = brought(path, monkeypatch)
    field, _, kind = path.stem.partition(": ")
    assert isinstance(said, str) or path.stem not in REFUSED
    if field in ("text", "answer") and kind in VALUES:
        assert isinstance(said, str) != (kind in FINE), said
        assert kind in FINE or ("Row 11 " in said and f"column {field}" in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x80abc", bytes(range(128, 256)) * 32, b"PK\x03\x04", b"\x93NUMPY", b""]
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "toml"])
def test_bytes_that_are_no_text_are_refused_by_name(content, suffix, tmp_path, monkeypatch):
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(content)
    if suffix == "toml":
        with in_time(), pytest.raises(ValueError, match="mine"):
            own_profile(path)
    else:
        assert isinstance(brought(path, monkeypatch), str)


EXPERIMENT = load_profile("smoke").experiment("lora")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.text(max_size=4), max_size=3)
)  # fmt: skip
ODD = (
    "-1", "0", "1000000000000", "1.5", "-0.5", "1e400", "nan", "inf", "true", '""', '"x"', '"\\u0000"', "[]", "[1, 1]",
    "[[]]", "{}", "{a = {}}", "1979-05-27", '"' + "x" * 5000 + '"',
)  # fmt: skip


@bounded
@given(st.sampled_from([field.name for field in fields(Experiment)]), SCALARS)
def test_an_experiment_is_one_or_is_refused_by_its_fields_name(name, value):
    try:
        EXPERIMENT.but(**{name: value})
    except ValueError as error:
        assert name in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("field", sorted(FIELDS))
def test_a_profile_is_one_or_is_refused_by_its_files_name(field, tmp_path):
    path = tmp_path / "mine.toml"
    for value in ODD:
        for start in ("", "[generation]\n"):
            path.write_text(f'base = "smoke"\n{start}{field} = {value}\n', encoding="utf-8")
            with in_time():
                try:
                    own_profile(path)
                except ValueError as error:
                    assert "mine" in str(error), error


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "{a = " * 100_000, "a." * 5000 + "a = 1", "[" * 9999]
)
def test_a_deep_profile_is_refused_by_its_files_name(text, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    with in_time(), pytest.raises(ValueError, match=r"mine\.toml"):
        own_profile(tmp_path / "mine.toml")


# A text as a person may write it: with something in it beside blanks.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40).filter(
    lambda text: text.strip() and text == text.lstrip()
)


ANY = st.one_of(WORDS, WORDS, WORDS, SCALARS)
PAIR = st.fixed_dictionaries({"question": ANY, "answer": ANY}, optional={"topic": ANY})


@bounded
@given(st.lists(st.tuples(WORDS, st.sampled_from(["no", "yes", "sí"])), min_size=2, max_size=8), st.sampled_from(",;"))
def test_what_is_written_is_read(tmp_path_factory, pairs, separator):
    rows = [{"text": text, "label": label} for text, label in pairs]
    rows = [*rows, {"text": "one", "label": "no"}, {"text": "two", "label": "yes"}]
    folder = tmp_path_factory.mktemp("rows")
    for name, content in (("a.csv", table(rows, separator)), ("a.jsonl", lines(rows))):
        (folder / name).write_text(content, encoding="utf-8", newline="")
        frame, names = read_labelled(str(folder / name)), label_names(str(folder / name))
        assert list(frame["text"]) == [row["text"] for row in rows]
        assert [names[label] for label in frame["label"]] == [row["label"] for row in rows]


@bounded
@given(st.lists(PAIR, min_size=1, max_size=3))
def test_pairs_are_pairs_or_are_refused_by_their_files_name(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("pairs") / "mine.jsonl"
    path.write_text(lines(rows), encoding="utf-8")
    try:
        frame = read_pairs(str(path))
    except ValueError as error:
        assert "mine.jsonl" in str(error)
    else:
        assert all(text.strip() for column in ("input", "output") for text in frame[column])


@bounded
@given(st.text(string.printable + "áñ\u2028\0", max_size=200))
def test_any_text_is_a_table_or_is_refused_by_its_files_name(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    for name in ("mine.csv", "mine.jsonl"):
        Path(folder / name).write_text("text,label\n" * (name == "mine.csv") + text, encoding="utf-8", newline="")
        try:
            read_labelled(str(folder / name))
        except ValueError as error:
            assert name in str(error)
