"""Handouts: from a lesson's own figures and claims; and every mistake that its exercises know."""

import html
import re
import runpy
import sys

import pytest
from editions import EDITIONS, NOTEBOOKS, committed
from handout import CLAIMS, FIGURES, claims, mistakes, summary

from loralab.lessons.catalogue import exercises


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_a_lessons_opening_its_figures_and_what_one_may_claim(source, language):
    notebook = committed(source, language)
    page, title = summary(notebook, language), notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    assert re.sub("[*`]", "", title) in html.unescape(re.sub("<.*?>", "", page))
    text = re.sub(r"<svg.*?</svg>|<img.*?>|<code>.*?</code>", "", page, flags=re.DOTALL)
    assert "$" not in text and not re.search(r"formula\d+end", text)  # each is drawn
    said = [line for line in claims(notebook, language).splitlines() if line.strip()]
    assert said[0].startswith(f"## {CLAIMS[language][0]}") and len(said) >= 4
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert page.count("<img") == min(FIGURES, sum(data.get("text/html", "").count("<img") for data in outputs))


@pytest.mark.parametrize(("source", "language"), EDITIONS)
def test_every_hint_of_its_exercises_is_there(source, language):
    notebook = committed(source, language)
    page = mistakes(notebook, language)
    keys = [cell.metadata["exercise"] for cell in notebook.cells if "exercise" in cell.metadata]
    assert page.count("<section>") == sum(len(exercises()[key]["hints"]) for key in keys)
    assert page.count("<h2") == len(keys) and "{" not in re.sub("<pre>.*?</pre>", "", page, flags=re.DOTALL)


def test_the_command_writes_both_and_names_the_lessons_there_are(results, monkeypatch, capsys):
    def code(lesson):
        """The command's exit code, run in this process, which has imported what it takes."""
        monkeypatch.setattr(sys, "argv", ["handout.py", lesson])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(NOTEBOOKS / "handout.py"), run_name="__main__")
        return ended.value.code

    assert code("3") == 0
    names = {f"03_lora_setup.{language}{kind}.html" for language in ("es", "en") for kind in ("", ".mistakes")}
    assert {path.name for path in (results / "handouts").iterdir()} == names
    assert code("12") == 2
    told = capsys.readouterr().err
    assert "'12'" in told and "03_lora_setup" in told
