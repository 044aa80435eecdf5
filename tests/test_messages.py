import ast
import re
import time
import tomllib
from pathlib import Path
from string import Formatter

import pytest

from loralab import messages
from loralab.lessons.catalogue import exercises, predictions, texts
from loralab.messages import LANGUAGES, MESSAGES, at_work, clock, message, number, percent, set_language

SOURCE = Path(messages.__file__).parent
LESSONS = Path(__file__).parents[1] / "notebooks" / "source"


def test_every_language_says_the_same_values():
    lessons = [dict(entry) for table in (predictions(), exercises()) for _, entry in texts(table)]
    rows = [{language: MESSAGES[language][key] for language in LANGUAGES} for key in MESSAGES["es"]]
    for row in (*rows, *lessons):
        asked = [{name for _, name, _, _ in Formatter().parse(row[language]) if name} for language in LANGUAGES]
        assert asked[1:] == asked[:-1], row


def test_no_key_stands_in_two_rooms():
    keys = [key for path in SOURCE.rglob("es.toml") for key in tomllib.loads(path.read_text(encoding="utf-8"))]
    assert len(keys) == len(set(keys))


def test_a_language_that_lacks_a_message_is_refused(monkeypatch):
    monkeypatch.setattr(messages, "LANGUAGES", ("es", "fr"))
    with pytest.raises(ValueError, match=r"unknown.* Write them in each fr.toml"):
        messages._read()


def test_every_message_is_found_by_its_key_and_every_key_is_written_whole():
    paths = (*SOURCE.rglob("*.py"), *LESSONS.glob("*.py"), *LESSONS.parent.glob("*.py"))
    sources = [path.read_text(encoding="utf-8") for path in paths]
    calls = [n for s in sources for n in ast.walk(ast.parse(s)) if isinstance(n, ast.Call)]
    keys = [call.args[0] for call in calls if getattr(call.func, "id", "") == "message"]
    assert not [ast.unparse(key) for key in keys if isinstance(key, ast.JoinedStr | ast.BinOp)]
    assert {key.value for key in keys if isinstance(key, ast.Constant)} <= set(MESSAGES["en"])
    written = set(re.findall(r"""(["'])([\w-]+)\1""", "\n".join(sources)))
    assert set(MESSAGES["en"]) <= {key for _, key in written}


def test_numbers_as_each_language_writes_them():
    assert number(22787714.5, 1) == "22,787,714.5" and number(4000, 0) == "4,000"
    assert number(-1.25, 2) == "\u22121.25"
    assert number(-0.04, 1) == "0.0" and percent(-0.0004, 0) == "0%"
    assert percent(0.834) == "83.4%"
    set_language("es")
    assert number(22787714.5, 1) == "22\u202f787\u202f714,5" and number(4000, 0) == "4000"
    assert percent(0.834) == "83,4\u00a0%"
    assert clock(90) == "90 s" and clock(150) == "2,5 min"


def test_an_unknown_language_names_the_choices():
    with pytest.raises(ValueError, match="es, en"):
        set_language("fr")
    assert "LoRA" in message("lora")


def test_what_takes_long_says_so_and_clears_the_line(monkeypatch, capsys):
    monkeypatch.setattr(messages, "SILENCE", 0.02)
    with pytest.raises(OSError), at_work("lora-r8"):
        time.sleep(0.2)
        raise OSError
    told = capsys.readouterr().out.split("\r")
    assert told[1].startswith("lora-r8: at work for 0 s") and len(told) > 4
    assert told[-2:] == [" " * 78, ""]
    with at_work("lora-r8"):
        pass
    assert capsys.readouterr().out == ""
