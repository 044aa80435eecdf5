"""Tables of the student's own, and the lessons' profile on them."""

import json
import re
import sys
from pathlib import Path

import pytest

from loralab.data.files import INSTRUCTION, read_labelled, read_pairs, read_table, task_of
from loralab.data.pairs import load_pairs
from loralab.data.splits import load_splits
from loralab.experiment import is_file
from loralab.lessons.start import FEWEST, chosen_profile, own_profile, profile_name, start
from loralab.profiles import load_profile

sys.path.insert(0, str(Path(__file__).parents[2] / "notebooks"))

import build
import execute

WORDS = ("red", "blue", "old", "new", "cold", "warm", "dry", "wet", "long", "short")


def sentence(i):
    """A text of its own for each number: no two share four words of five."""
    return " ".join(f"{WORDS[i // 10**place % 10]}{place}" for place in range(3)) + f" n{i}"


@pytest.fixture
def write(tmp_path):
    def to(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_text(content, encoding=encoding)
        return path

    return to


def reviews(count, label=lambda i: ("bad", "good")[i % 2]):
    return "text,label\n" + "".join(f"{sentence(i)},{label(i)}\n" for i in range(count))


def questions(count):
    rows = [{"question": f"{sentence(i)}?", "answer": f"So, {sentence(i)}."} for i in range(count)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_labels_are_numbered_in_their_order(write):
    frame = read_labelled(write("a.csv", 'text,label,who\nfine,good,x\n"dull, long",bad,y\n'))
    assert list(frame.columns) == ["text", "label"] and list(frame.index) == [1, 2]
    assert list(frame["label"]) == [1, 0] and frame.loc[2, "text"] == "dull, long"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_a_spanish_spreadsheet_writes(write, encoding):
    frame = read_labelled(write("a.csv", "text;label\nestá bien, creo;1\nno;0\n", encoding))
    assert frame.loc[1, "text"] == "está bien, creo" and list(frame["label"]) == [1, 0]


def test_a_value_that_spells_missing_is_a_value(write):
    frame = read_labelled(write("a.csv", "text,label\nNA,null\nfine,none\n"))
    assert frame.loc[1, "text"] == "NA" and set(frame["label"]) == {0, 1}


def test_jsonl_takes_numbers_as_labels_and_keeps_order(write):
    rows = [{"label": 0, "text": "no"}, {"label": 1, "text": "yes"}]
    frame = read_labelled(write("a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n"))
    assert frame.to_dict("list") == {"text": ["no", "yes"], "label": [0, 1]}


def test_questions_get_the_courses_names_and_an_instruction(write):
    frame = read_pairs(write("a.csv", "question,answer\nWhy?,Because.\n"))
    assert frame.to_dict("records") == [{"input": "Why?", "output": "Because.", "instruction": INSTRUCTION}]
    own = read_pairs(write("b.csv", "question,answer,instruction,topic\nWhy?,So.,Be brief.,life\n"))
    assert own.loc[1, "instruction"] == "Be brief." and own.loc[1, "topic"] == "life"


@pytest.mark.parametrize(("name", "header", "task"), [
    ("a.csv", "text,label", "classification"), ("a.csv", "question;answer", "generation"),
])  # fmt: skip
def test_the_columns_say_which_track(write, name, header, task):
    assert task_of(write(name, f"{header}\n1{header[4] if header[4] == ',' else header[8]}2\n")) == task


def test_a_name_is_not_a_file():
    assert is_file("mine.csv") and is_file("/a/b.jsonl") and not is_file("film-reviews")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text,label\nfine,1\n,0\n", r"Row 2 of a\.csv, column text: it is empty"),
        ("a.csv", "text,label\nfine,1\nbad,\n", r"Row 2 of a\.csv, column label: it is empty"),
        ("a.csv", "text,label\na,1\nb,0\nc,2\n", r"Row 3 of a\.csv, column label: '2'.*: 0, 1, 2"),
        ("a.csv", "text,label\na,1\nb,1\n", r"column label: '1'.*there are: 1\."),
        ("a.csv", "text,stars\nfine,1\n", r"lacks columns: label\. It has: text, stars"),
        (
            "a.csv",
            "text,label\nfine, really,1,2\n",
            r"Row 1 of a\.csv has more values than the 2 columns.*between double quotes",
        ),
        ("a.csv", "", "has no rows"),
        ("a.csv", 'text,label\n"fine,1\n', r"a\.csv cannot be read as CSV, in line 1"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": \n', r"Line 2 of a\.jsonl is not JSON"),
        ("a.jsonl", '["a", 1]\n', r"Line 1 of a\.jsonl is not a JSON object"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": 5, "label": 0}\n', r"Row 2 .* column text: it holds int"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"label": 0}\n', r"Row 2 .* column text: it is empty"),
    ],
)
def test_a_mistake_is_named_with_its_row_and_field(write, name, content, said):
    with pytest.raises(ValueError, match=said):
        read_labelled(write(name, content))


@pytest.mark.parametrize(("row", "said"), [
    ({"question": "Why?", "answer": ""}, "Row 2 .* column answer: it is empty"),
    ({"question": None, "answer": "So."}, "Row 2 .* column question: it is empty"),
    ({"question": "Why?", "answer": ["So."]}, "Row 2 .* column answer: it holds list"),
])  # fmt: skip
def test_a_mistake_in_a_pair_is_named_too(write, row, said):
    rows = [{"question": "Who?", "answer": "I."}, row]
    with pytest.raises(ValueError, match=said):
        read_pairs(write("a.jsonl", "\n".join(map(json.dumps, rows))))


def test_files_that_cannot_be_read(write, tmp_path):
    with pytest.raises(ValueError, match=r"no file b\.csv in the folder"):
        read_table(tmp_path / "b.csv")
    with pytest.raises(ValueError, match=r"neither a \.csv nor"):
        read_table(write("a.xlsx", ""))
    (tmp_path / "c.csv").write_bytes("text,label\ncanción,1\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"not in UTF-8.*CSV UTF-8"):
        read_table(tmp_path / "c.csv")
    with pytest.raises(ValueError, match=r"columns a, b, and it needs one of these sets: text, label / question, ans"):
        task_of(write("d.csv", "a,b\n1,2\n"))


def test_a_file_becomes_three_splits_and_is_read_again_when_it_changes(write, smoke):
    path = write("a.csv", reviews(200))
    own = smoke.on(str(path), train_size=100, validation_size=20, test_size=40).experiment("lora")
    splits = load_splits(own)
    assert {name: len(part) for name, part in splits.items()} == {"train": 100, "validation": 20, "test": 40}
    assert splits.report["rows"] == 200 and splits.report["duplicates"] == 0
    before = splits.fingerprint()
    write("a.csv", reviews(220))
    assert load_splits(own).fingerprint() != before


def test_one_setting_puts_a_file_into_the_profile(write, monkeypatch, capsys):
    path = write("hotel.csv", reviews(160))
    monkeypatch.setenv("LORALAB_PROFILE", "cpu")
    monkeypatch.setenv("LORALAB_DATA", "")
    profile = start("en", data=str(path))
    assert profile.name == profile_name() == "cpu-hotel"
    assert "hotel.csv · 100 for training, 20 for validation and 40 for the test" in capsys.readouterr().out
    assert [len(part) for _, part in load_splits(profile.experiment("lora")).items()] == [100, 20, 40]
    assert profile.generation.settings["dataset"] == "quixote-qa"
    assert profile.experiment("lora").learning_rate == load_profile("cpu").experiment("lora").learning_rate


def test_questions_go_into_the_generation_track(write, monkeypatch):
    monkeypatch.setenv("LORALAB_PROFILE", "cpu")
    monkeypatch.setenv("LORALAB_DATA", str(write("abuela.jsonl", questions(100))))
    profile = chosen_profile()
    sizes = [len(part) for _, part in load_splits(profile.generation.experiment("lora")).items()]
    assert sizes == [70, 10, 20]
    assert len(load_pairs(profile.generation.settings["dataset"])[0]) == 100
    assert profile.settings["dataset"] == "film-reviews"


def test_too_few_rows_are_refused_with_the_number_that_is_needed(write, monkeypatch):
    monkeypatch.setenv("LORALAB_DATA", str(write("a.csv", reviews(149) + f"{sentence(0)},good\n")))
    with pytest.raises(ValueError, match=r"a\.csv has 149 usable rows .*need 150"):
        chosen_profile()


def test_the_manual_says_how_many_rows_it_takes():
    readme = (Path(__file__).parents[2] / "notebooks" / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Your own data")[1].split("\n## ")[0]
    assert re.findall(r"at least (\d+) rows", " ".join(section.split())) == list(map(str, FEWEST.values()))


def test_an_instructor_changes_topic_and_sizes_in_a_file(write, monkeypatch):
    write("hotel.csv", reviews(300))
    text = 'base = "smoke"\ndataset = "hotel.csv"\ntrain_size = 90\nseeds = [3]\n[generation]\ntrain_size = 12\n'
    monkeypatch.setenv("LORALAB_PROFILE", str(write("class.toml", text)))
    profile = chosen_profile()
    assert profile.name == profile_name() == "class" and profile.seeds == (3,)
    assert len(load_splits(profile.experiment("lora")).train) == 90
    assert profile.generation.experiment("lora").train_size == 12
    assert profile.learning_rates == load_profile("smoke").learning_rates


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.toml", 'base = "laptop"\n', "lacks `base`.*smoke, cpu, study, t4, large"),
        ("a.toml", "train_size = 3\n", "lacks `base`"),
        ("a.toml", 'base = "cpu"\ntrainsize = 3\n', "names trainsize, which does not exist.*train_size"),
        ("a.toml", 'base = "cpu"\n[generation]\nbase = "cpu"\n', "names base, which"),
        ("a.toml", 'base = "cpu"\nlearning_rate = 0.1\n', r"table \[learning_rate\]"),
        ("a.toml", 'base = "cpu"\n[generation]\nranks = [4, 8]\n', "`rank` is 16 .* `ranks` are 4, 8"),
        ("a.toml", "base = cpu\n", r"a\.toml cannot be read"),
        ("cpu.toml", 'base = "cpu"\n', "is a profile cpu already"),
        ("a.toml", 'base = "cpu"\ntrain_size = 0\n', "train_size has to be a whole number, 1 at least"),
    ],
)
def test_a_mistake_in_a_profile_file_is_named(write, name, content, said):
    with pytest.raises(ValueError, match=said):
        own_profile(write(name, content)).experiment("lora")


@pytest.mark.slow
def test_two_files_go_through_all_six_lessons(write, monkeypatch, tmp_path):
    write("hotel.csv", reviews(160))
    write("abuela.jsonl", questions(80))
    profile = 'base = "smoke"\ndataset = "hotel.csv"\n[generation]\ndataset = "abuela.jsonl"\n'
    monkeypatch.setenv("LORALAB_PROFILE", str(write("class.toml", profile)))
    for source in build.sources():
        path = tmp_path / f"{source.stem}.ipynb"
        assert execute.execute(build.build(source, "es"), path) is None
        assert "hotel.csv · " in path.read_text(encoding="utf-8")
