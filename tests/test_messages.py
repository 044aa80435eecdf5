import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from loralab import messages
from loralab.messages import MESSAGES, clock, message, number, percent, set_language

SOURCE = Path(messages.__file__).parent
LESSONS = Path(__file__).parents[1] / "notebooks" / "source"


def test_both_languages_say_the_same_values():
    for key, texts in MESSAGES.items():
        spanish, english = ({name for _, name, _, _ in Formatter().parse(text) if name} for text in texts)
        assert spanish == english, key


def test_every_message_is_used_and_every_used_one_exists():
    patterns = []
    for path in (*SOURCE.rglob("*.py"), *LESSONS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "message":
                key = node.args[0]
                if isinstance(key, ast.JoinedStr):
                    parts = [re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in key.values]
                    patterns.append("".join(parts))
                elif isinstance(key, ast.Constant):
                    assert key.value in MESSAGES, f"{path.name}: {key.value}"
    unused = [key for key in MESSAGES if not any(re.fullmatch(p, key) for p in patterns) and not _mentioned(key)]
    assert not unused


def _mentioned(key):
    texts = (path.read_text(encoding="utf-8") for path in (*SOURCE.rglob("*.py"), *LESSONS.glob("*.py")))
    quoted = re.compile(rf"""["']{key}["']""")
    return any(quoted.search(text) for text in texts)


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
    assert "LoRA" in message("method_lora")
