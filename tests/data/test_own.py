"""What somebody brings: files and data sets of the hub in every shape, and the lessons' profile on them."""

import json
import os
import re
from pathlib import Path

import datasets
import pytest

from loralab.data import own
from loralab.data.own import INSTRUCTION, label_names, name_of, read_labelled, read_pairs, read_table, task_of
from loralab.data.splits import load_pairs, load_splits, parts_of
from loralab.files import content_name, is_file
from loralab.lessons.start import FEWEST, chosen_profile, own_profile, profile_name, start
from loralab.profiles import load_profile
from loralab.train.chat import encode_pairs
from loralab.train.models import load_tokenizer

WORDS = ("red", "blue", "old", "new", "cold", "warm", "dry", "wet", "long", "short")


def sentence(i):
    """A text of its own for each number: no two share four words of five."""
    return " ".join(f"{WORDS[i // 10**place % 10]}{place}" for place in range(3)) + f" n{i}"


@pytest.fixture
def write(tmp_path):
    def to(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_text(content, encoding=encoding)
        return str(path)

    return to


def reviews(count, label=lambda i: ("bad", "good")[i % 2]):
    return "text,label\n" + "".join(f"{sentence(i)},{label(i)}\n" for i in range(count))


def questions(count):
    rows = [{"question": f"{sentence(i)}?", "answer": f"So, {sentence(i)}."} for i in range(count)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_labels_are_numbered_as_they_first_appear_or_as_asked(write):
    place = write("a.csv", 'Text,LABEL,who\nfine,elogio,x\n"dull, long",queja,y\nso so,duda,z\n')
    frame = read_labelled(place)
    assert list(frame.columns) == ["text", "label", "part"] and list(frame.index) == [1, 2, 3]
    assert list(frame["label"]) == [0, 1, 2] and frame.loc[2, "text"] == "dull, long"
    assert label_names(place) == ["elogio", "queja", "duda"]
    asked = f"{place}?labels=queja,duda,elogio"
    assert list(read_labelled(asked)["label"]) == [2, 0, 1] and label_names(asked) == ["queja", "duda", "elogio"]
    assert list(read_labelled(write("b.csv", "text,label\na,2\nb,0\nc,1\n"))["label"]) == [2, 0, 1]  # as they say


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
    assert frame.drop(columns="part").to_dict("list") == {"text": ["no", "yes"], "label": [0, 1]}


def test_questions_get_the_courses_names_and_an_instruction(write):
    frame = read_pairs(write("a.csv", "question,answer\nWhy?,Because.\n"))
    assert frame.to_dict("records") == [{"input": "Why?", "output": "Because.", "instruction": INSTRUCTION}]
    own = read_pairs(write("b.csv", "question,answer,instruction,topic\nWhy?,So.,Be brief.,life\n"))
    assert own.loc[1, "instruction"] == "Be brief." and own.loc[1, "topic"] == "life"


def jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_spanish_headings_in_any_case(write):
    place = write("a.csv", "Pregunta;Respuesta;Tema\n¿Por qué?;Porque sí.;vida\n")
    assert task_of(place) == "generation"
    (pair,) = read_pairs(place).to_dict("records")
    assert pair == {"instruction": INSTRUCTION, "input": "¿Por qué?", "output": "Porque sí.", "topic": "vida"}
    labelled = read_labelled(write("b.csv", "ETIQUETA,Texto\nqueja,no va\nelogio,va bien\n"))
    assert list(labelled["text"]) == ["no va", "va bien"] and list(labelled["label"]) == [0, 1]


def test_columns_are_called_as_the_question_mark_says(write):
    place = write("a.csv", "reseña,stars,text\nbien,5,x\nmal,1,y\n")
    frame = read_labelled(f"{place}?text=reseña&label=stars&labels=1,5")
    assert list(frame["text"]) == ["bien", "mal"] and list(frame["label"]) == [1, 0]


def test_alpacas_instruction_is_the_question_unless_it_is_always_the_same(write):
    rows = [
        {"instruction": "Add.", "input": "1, 2", "output": "3"},
        {"instruction": "Greet.", "input": "", "output": "Hi"},
    ]
    pairs = read_pairs(write("a.jsonl", jsonl(*rows)))
    assert list(pairs["input"]) == ["Add.\n\n1, 2", "Greet."] and set(pairs["instruction"]) == {INSTRUCTION}
    assert list(pairs["output"]) == ["3", "Hi"]
    same = [{"instruction": "Be Ann.", "input": asked, "output": "No."} for asked in ("Why?", "Who?")]
    pairs = read_pairs(write("b.jsonl", jsonl(*same)))
    assert list(pairs["input"]) == ["Why?", "Who?"] and set(pairs["instruction"]) == {"Be Ann."}


def turns(*said, system=None):
    talk = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    return {"messages": ([{"role": "system", "content": system}] if system else []) + talk}


def test_of_a_conversation_the_last_answer_counts_and_the_rest_is_read(write):
    rows = [turns("Who?", "I.", "Why?", "Because.", "Really?", system="Be Ann."), turns("So?", "So.")]
    pairs = read_pairs(write("a.jsonl", jsonl(*rows)))
    assert list(pairs["input"]) == ["Why?", "So?"] and list(pairs["output"]) == ["Because.", "So."]
    assert list(pairs["history"]) == [(("Who?", "I."),), ()]
    assert list(pairs["instruction"]) == ["Be Ann.", INSTRUCTION]
    tokenizer = load_tokenizer("smollm2-135m")
    read, _ = (tokenizer.decode(row["input_ids"]) for row in encode_pairs(pairs, tokenizer, None).dataset)
    assert read.index("Be Ann.") < read.index("Who?") < read.index("I.") < read.index("Why?") < read.index("Because.")


@pytest.mark.parametrize("row", [
    {"messages": "Who?"}, {"messages": [{"role": "user"}]}, turns("Who?"), turns("Who?", ""),
    {"messages": [{"role": "assistant", "content": "I."}]},
])  # fmt: skip
def test_turns_that_take_no_turns_are_named(write, row):
    with pytest.raises(ValueError, match=r"Row 2 of a\.jsonl: `messages` has to be"):
        read_pairs(write("a.jsonl", jsonl(turns("So?", "So."), row)))


def test_a_text_may_hold_other_ends_of_lines(write):
    rows = [{"text": f"one{mark}two", "label": str(ord(mark))} for mark in "\u2028\x85"]
    frame = read_labelled(write("a.jsonl", jsonl(*rows)))
    assert list(frame["text"]) == ["one\u2028two", "one\x85two"]


def test_alike_questions_without_topics_are_kept_apart_and_counted(write):
    forms = (str, str.upper, lambda text: " ".join(reversed(text.split())))
    rows = [{"question": forms[i % 3](sentence(i // 3)), "answer": f"So, {sentence(i)}."} for i in range(150)]
    place = write("a.jsonl", jsonl(*rows))
    own = load_profile("cpu").generation.on(place, train_size=20, validation_size=4, test_size=30)
    splits = load_splits(own.experiment("lora"))
    asked = [{frozenset(text.lower().split()) for text in part["input"]} for part in parts_of(place, 0)]
    assert len(set.union(*asked)) == sum(map(len, asked))
    assert splits.report["alike"] == 150 - sum(map(len, parts_of(place, 0))) > 20
    few = write("b.jsonl", jsonl(*(row | {"topic": "ab"[i % 2]} for i, row in enumerate(rows))))
    with pytest.raises(ValueError, match="too few topics: 2"):
        parts_of(few, 0)


@pytest.fixture
def hub(monkeypatch):
    """A data set of the hub: a border between train and test, classes with names, and one that is in neither part."""
    features = datasets.Features(
        {"review": datasets.Value("string"), "stars": datasets.ClassLabel(names=["none", "worst", "best"])}
    )
    asked = []

    def load(row):
        asked.append(row)
        rows = {part: {"review": [f"{part} {sentence(i)}" for i in range(n)], "stars": [2 - i % 2 for i in range(n)]}
                for part, n in (("train", 60), ("test", 30), ("unsupervised", 9))}  # fmt: skip
        return datasets.DatasetDict({k: datasets.Dataset.from_dict(v, features=features) for k, v in rows.items()})

    monkeypatch.setattr(own, "load_dataset", load)
    own._read_own.cache_clear()
    yield asked
    own._read_own.cache_clear()


def test_a_data_set_of_the_hub_by_its_id(hub):
    place = "ann/reviews@v2?text=review&label=stars"
    assert task_of(place) == "classification" and label_names(place) == ["worst", "best"]
    assert hub == [{"hub": "ann/reviews", "revision": "v2", "config": None}]
    sizes = {"train_size": 30, "validation_size": 10, "test_size": 20}
    splits = load_splits(load_profile("cpu").experiment("lora", dataset=place, **sizes))
    assert all(text.startswith("test ") for text in splits.test["text"])
    assert all(text.startswith("train ") for text in (*splits.train["text"], *splits.validation["text"]))
    assert content_name(place) == place and name_of(place) == "ann/reviews@v2"
    with pytest.raises(ValueError, match="columns review, stars"):
        task_of("ann/reviews")


def test_a_class_with_too_few_rows_is_named(write):
    place = write("a.csv", reviews(160, lambda i: "rare" if i < 7 else ("bad", "good")[i % 2]))
    experiment = load_profile("cpu").experiment("lora", dataset=place, train_size=90, validation_size=20, test_size=40)
    with pytest.raises(ValueError, match=r"class 'rare' has 7 rows, and each needs 8 at least"):
        load_splits(experiment)


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
        ("a.csv", "text,label\na,1\nb,1\n", r"its labels are 1\. There have to be two different ones"),
        ("a.csv?labels=1,2", "text,label\na,1\nb,0\n", r"a\.csv: its labels are 1, 0\..*those asked for \(1, 2\)"),
        ("a.csv?label=sterne", "text,stars\nfine,1\n", r"\?label cannot be 'sterne'. Choose one of: text, stars"),
        ("a.csv?colour=red", "text,label\na,1\n", r"\? cannot be 'colour'. Choose one of: text, text_pair, label"),
        ("a.csv", "text,stars\nfine,1\n", r"(?s)columns text, stars, .*`a\.csv\?text=.*read_csv"),
        ("a.csv", "question,answer\nWhy?,So.\n", r"a\.csv is for the other task.*: text, label\."),
        (
            "a.csv",
            "text,label\nfine, really,1,2\n",
            r"Row 1 of a\.csv has more values than the 2 columns.*between double quotes",
        ),
        ("a.csv", "", "has no rows"),
        ("a.csv", 'text,label\n"fine,1\n', r"a\.csv cannot be read as CSV, in line 1"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": \n', r"Line 2 of a\.jsonl is not JSON"),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', r"Line 1 of a\.jsonl is not JSON.*surrogates"),
        ("a.jsonl", "[" * 100_000, r"Line 1 of a\.jsonl is not JSON.*recursion"),
        ("a.csv", "text,text,label\na,b,1\n", r"a\.csv has two columns text\."),
        ("a.jsonl", '["a", 1]\n', r"Line 1 of a\.jsonl is not a JSON object"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": 5, "label": 0}\n', r"Row 2 .* column text: it holds int"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"label": 0}\n', r"Row 2 .* column text: it is empty"),
    ],
)
def test_a_mistake_is_named_with_its_row_and_field(write, name, content, said):
    place, *how = name.split("?")
    with pytest.raises(ValueError, match=said):
        read_labelled("?".join([write(place, content), *how]))


@pytest.mark.parametrize(("row", "said"), [
    ({"question": "Why?", "answer": ""}, "Row 2 .* column answer: it is empty"),
    ({"question": None, "answer": "So."}, "Row 2 .* column question: it is empty"),
    ({"question": "Why?", "answer": ["So."]}, "Row 2 .* column answer: it holds list"),
])  # fmt: skip
def test_a_mistake_in_a_pair_is_named_too(write, row, said):
    rows = [{"question": "Who?", "answer": "I."}, row]
    with pytest.raises(ValueError, match=said):
        read_pairs(write("a.jsonl", "\n".join(map(json.dumps, rows))))


def test_what_is_no_file_is_not_waited_for(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("folder", "loop", "pipe"):
        with pytest.raises(ValueError, match=rf"no file {name}\.csv in the folder"):
            read_labelled(str(tmp_path / f"{name}.csv"))


def test_a_text_may_be_as_long_as_it_is(write):
    long = "word " * 40_000
    assert list(read_labelled(write("a.csv", f"text,label\n{long},0\nb,1\n"))["text"]) == [long, "b"]


def test_files_that_cannot_be_read(write, tmp_path):
    with pytest.raises(ValueError, match=r"no file b\.csv in the folder"):
        read_table(tmp_path / "b.csv")
    with pytest.raises(ValueError, match=r"neither a \.csv nor"):
        read_table(Path(write("a.xlsx", "")))
    (tmp_path / "c.csv").write_bytes("text,label\ncanción,1\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"not in UTF-8.*CSV UTF-8"):
        read_table(tmp_path / "c.csv")
    with pytest.raises(ValueError, match=r"columns a, b, and it needs one of these sets: text, label / question, ans"):
        task_of(write("d.csv", "a,b\n1,2\n"))


def test_a_file_becomes_three_splits_and_is_read_again_when_it_changes(write, smoke):
    path = write("a.csv", reviews(200))
    mine = smoke.on(str(path), train_size=100, validation_size=20, test_size=40).experiment("lora")
    splits = load_splits(mine)
    assert {name: len(part) for name, part in splits.items()} == {"train": 100, "validation": 20, "test": 40}
    assert splits.report["rows"] == 200 and splits.report["duplicates"] == 0
    before = splits.fingerprint()
    write("a.csv", reviews(220))
    assert load_splits(mine).fingerprint() != before


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
        ("a.toml", 'base = "laptop"\n', "lacks `base`.*smoke, cpu, t4, large, study"),
        ("a.toml", "train_size = 3\n", "lacks `base`"),
        ("a.toml", 'base = "cpu"\ntrainsize = 3\n', "names trainsize, which does not exist.*train_size"),
        ("a.toml", 'base = "cpu"\n[generation]\nbase = "cpu"\n', "names base, which"),
        ("a.toml", 'base = "cpu"\nlearning_rate = 0.1\n', r"table \[learning_rate\]"),
        ("a.toml", 'base = "cpu"\n[generation]\nranks = [4, 8]\n', "`rank` is 16 .* `ranks` are 4, 8"),
        ("a.toml", "base = cpu\n", r"a\.toml cannot be read"),
        ("cpu.toml", 'base = "cpu"\n', "is a profile cpu already"),
        ("a.toml", 'base = "cpu"\ntrain_size = 0\n', r"a\.toml: train_size has to be a whole number from 1 "),
        ("a.toml", 'base = "cpu"\nexamined = false\n', "names examined, which does not exist"),
        (
            "a.toml",
            'base = "cpu"\nactivation_checkpointing = "no"\n',
            r"a\.toml: activation_checkpointing has to be true",
        ),
        ("a.toml", 'base = "cpu"\nmargin = "x"\n', r"a\.toml: margin has to be a number"),
        ("a.toml", 'base = "cpu"\nmargin = 0\n', r"a\.toml: margin has to be a number"),
        ("a.toml", 'base = "cpu"\nseeds = []\n', r"a\.toml: seeds is \[\], .* 1 at least"),
        ("a.toml", 'base = "cpu"\nseeds = [1, 1]\n', r"a\.toml: seeds is .* different values"),
        ("a.toml", 'base = "cpu"\nseeds = ["a"]\n', r"a\.toml: seed has to be a whole number"),
        ("a.toml", 'base = "cpu"\nranks = 5\n', r"a\.toml: ranks is 5, .* a list"),
        ("a.toml", 'base = "cpu"\ntarget_modules = []\n', r"a\.toml: target_modules has to be a list of names"),
        ("a.toml", 'base = "cpu"\nepochs = 1000000000\n', r"a\.toml: epochs has to be a whole number from 1 to 1000"),
        ("a.toml", 'base = "cpu"\ndataset = 3\n', r"a\.toml: dataset has to be a text"),
        ("a.toml", 'base = "cpu"\ngeneration = 3\n', "generation is 3, .* a table"),
        ("a.toml", 'base = "cpu"\nsweep = 3\n', r"a\.toml: sweep is 3, .* a table"),
        ("a.toml", 'base = "cpu"\n[sweep]\nlora = []\n', r"a\.toml: sweep\.lora is \[\]"),
        ("a.toml", 'base = "cpu"\n[learning_rate]\nlora = "high"\n', r"a\.toml: learning_rate has to be a number"),
    ],
)
def test_a_mistake_in_a_profile_file_is_named(write, name, content, said):
    with pytest.raises(ValueError, match=said):
        own_profile(Path(write(name, content))).experiment("lora")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("train_size = 31\n", "train_size is 31, and the lessons need 32"),
        ("test_size = 20000\n", "test split asks for 20000"),
        ("max_length = 4096\n", "max_length is 4096, and the model takes 512"),
        ('model = "minilm-l7"\n', "model cannot be 'minilm-l7'"),
        ('model = "my/own/base"\n', "no model my/own/base: neither a folder"),
        ('dataset = "quixote-qa"\n', "quixote-qa has no labelled texts"),
        ('precision = "bf16"\n', "precision cannot be 'bf16"),
        ("[generation]\ntest_size = 1\n", "test_size is 1, and the lessons need 2"),
    ],
)
def test_what_a_lesson_would_stumble_over_is_refused_in_its_first_cell(write, monkeypatch, content, said):
    monkeypatch.setenv("LORALAB_PROFILE", write("class.toml", f'base = "cpu"\n{content}'))
    with pytest.raises(ValueError, match=said):
        chosen_profile()


def test_a_word_on_the_language_of_an_embedded_base(write, monkeypatch, capsys):
    monkeypatch.setenv("LORALAB_DATA", write("a.csv", reviews(160)))
    start("es")
    assert "minilm-l6 ha leído sobre todo inglés" in (said := capsys.readouterr().out) and "xlm-roberta-base" in said
    monkeypatch.setenv("LORALAB_DATA", "")
    start("es")
    assert "ha leído" not in capsys.readouterr().out
