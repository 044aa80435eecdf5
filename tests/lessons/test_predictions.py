import re
import subprocess
import sys

import pytest

from loralab.lessons.predictions import predict, predictions_table
from loralab.messages import set_language


@pytest.fixture(autouse=True)
def smoke_profile(monkeypatch):
    monkeypatch.setenv("LORALAB_PROFILE", "smoke")


KERNEL = """
import sys
from loralab.lessons.predictions import predict
for _ in range(40):
    for key in sys.argv[1:]:
        predict(key, 1).compare(1, mean=1, longest=1, parameters=1, whole=1)
"""
VALUES = {"mean": "27", "longest": "49", "mild": "56%", "strong": "99%"}


def said(capsys, key, guess, measured, **values):
    capsys.readouterr()
    predict(key, guess).compare(measured, **values)
    return capsys.readouterr().out.replace("\n", " ")


def test_a_blank_says_nothing_and_what_was_measured_is_folded(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr("loralab.lessons.predictions.display", lambda page, raw: shown.append(page))
    assert said(capsys, "padding_512", None, 94.7, mean="<27>") == ""
    folded = shown[0]["text/html"]
    assert re.fullmatch(r"<details><summary>Show what was measured</summary>Measured: 94\.7%\..*</details>", folded)
    assert "&lt;27&gt; tokens on average" in folded and "94.7%" in shown[0]["text/plain"]


@pytest.mark.parametrize(
    ("guess", "verdict"),
    [
        (95, "95.0%: right, or nearly"),
        (50, "50.0%: too low by 44.7 points"),
        (100, "100.0%: too high by 5.3 points"),
    ],
)
def test_a_percentage_is_off_by_points(capsys, guess, verdict):
    assert verdict in said(capsys, "padding_512", guess, 94.7, mean="27")


@pytest.mark.parametrize(
    ("guess", "verdict"),
    [
        (0.3, "right, or nearly"),
        (91, "too high by a factor of 303"),
        (0.03, "too low by a factor of 10.0"),
        (0, "too low by 0.30 MB"),
    ],
)
def test_a_size_is_off_by_a_factor(capsys, guess, verdict):
    assert verdict in said(capsys, "saved_size", guess, 0.3, parameters="74,498", whole="90.9")


def test_nothing_changed_is_a_fair_prediction(capsys):
    assert "right" in said(capsys, "first_change", 0, 0.0)
    assert "too high by 0.5" in said(capsys, "first_change", 0.5, 0.0)


@pytest.mark.parametrize("wrong", [(float("nan"),), ("0.8",), (0, 8), (True,), ("80 %",), ([1, 2],), ()])
def test_what_is_no_number_is_explained(wrong):
    with pytest.raises(ValueError, match="decimal point"):
        predict("tfidf", *wrong)


def test_a_share_for_a_percentage_is_asked_about(capsys):
    predict("tfidf", 0.8)
    assert "Did you mean 80%?" in capsys.readouterr().out


def test_an_unknown_question_names_the_choices():
    with pytest.raises(ValueError, match="always_favourable"):
        predict("nonsense", 1)


def test_guesses_are_kept_beside_what_was_measured(capsys, results):
    assert predictions_table().empty
    predict("winner_luck", None).compare(0.581)
    predict("tfidf", 60).compare(71.6)
    predict("tfidf", 65).compare(71.6)
    table = predictions_table()
    assert list(table["your prediction"]) == ["65.0%", "–"]
    predict("tfidf", None).compare(71.6)  # opened again, left blank: the guess stays
    assert list(predictions_table()["your prediction"]) == ["65.0%", "–"]
    assert list(table["measured"]) == ["71.6%", "0.58 points"]
    folder = results / "smoke" / "predictions"
    assert {path.stem for path in folder.iterdir()} == {"tfidf", "winner_luck"}
    (folder / "of_an_earlier_edition.json").write_text('{"guess": 1, "measured": 2}')
    assert len(predictions_table()) == 2


@pytest.mark.parametrize("content", ["", "[]", "{", '{"guess": "x", "measured": 1}', '{"guess": [], "measured": 1}'])
def test_a_damaged_prediction_is_said_and_the_others_stay(capsys, results, content):
    predict("winner_luck", 1).compare(0.581)
    predict("tfidf", 60).compare(71.6)
    path = results / "smoke" / "predictions" / "tfidf.json"
    path.write_text(content)
    assert list(predictions_table()["your prediction"]) == ["1.00 points"]
    assert "tfidf.json" in capsys.readouterr().out and path.with_suffix(".damaged").exists()
    predict("tfidf", 65).compare(71.6)
    assert len(predictions_table()) == 2


@pytest.mark.slow
def test_two_kernels_lose_no_prediction(results):
    keys = ["tfidf", "winner_luck", "padding_512", "saved_size"]
    command = [sys.executable, "-c", KERNEL]
    kernels = [subprocess.Popen([*command, *pair], stdout=subprocess.DEVNULL) for pair in (keys[:2], keys[2:])]
    assert not any(kernel.wait() for kernel in kernels)
    assert len(predictions_table()) == 4


def test_in_spanish(capsys):
    set_language("es")
    shown = said(capsys, "rater", 80, 92.2, **{k: VALUES[k] for k in ("mild", "strong")})
    assert "tu predicción es 80,0\u00a0%" in shown
    assert "Medido: 92,2\u00a0%. Tu predicción era 80,0\u00a0%: se queda corta por 12,2 puntos." in shown


@pytest.mark.parametrize("guess", [-5, 101])
def test_a_percentage_is_between_0_and_100(guess):
    with pytest.raises(ValueError, match="from 0 to 100"):
        predict("tfidf", guess)
