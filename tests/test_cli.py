import re

import pytest

from loralab.__main__ import main


def test_assets_are_named_with_their_licences(capsys):
    assert main(["assets", "--language", "es"]) == 0
    shown = capsys.readouterr().out
    assert "minilm-l6: en la caché · Apache-2.0" in shown and "film-reviews" in shown
    assert "smollm2-135m: en la caché · Apache-2.0" in shown


@pytest.mark.slow
def test_a_whole_profile_from_nothing_to_the_report(results, monkeypatch, capsys):
    monkeypatch.setenv("LORALAB_PROFILE", "smoke")
    assert main(["report", "--language", "es"]) == 0
    page = (results / "smoke" / "report.html").read_text(encoding="utf-8")
    names = ["clase mayoritaria", "TF-IDF", "solo la cabeza", "fine-tuning completo", "LoRA r=4", "LoRA r=16"]
    names += [
        "respuesta a la pregunta más parecida",
        "base con 3 ejemplos",
        "nats por token",
        "Generación: quixote-qa · smollm2-135m",
    ]
    for text in names:
        assert text in page
    assert "Muy pocos ejemplos de test" in page
    capsys.readouterr()
    assert main(["run"]) == 0
    assert "done in" not in capsys.readouterr().out


def test_an_unknown_profile_is_a_message_and_not_a_traceback(monkeypatch, capsys):
    monkeypatch.setenv("LORALAB_PROFILE", "gpu")
    assert main(["run"]) == 1
    assert "profile cannot be 'gpu'. Choose one of: smoke, cpu, t4, large, study." in capsys.readouterr().err


def test_the_study_is_read_and_not_run(results, monkeypatch, capsys):
    monkeypatch.setenv("LORALAB_PROFILE", "study")
    assert main(["report"]) == 1 and "make study" in capsys.readouterr().err
    assert not (results / "runs").exists()


TINY_STUDY = """
base = "smoke"
train_size = 64
validation_size = 16
test_size = 32
ranks = [4, 8]
seeds = [0, 1]
methods = ["pissa", "prompt"]

[targets]
all-linear = "all-linear"

[sweep]
full = [1e-5, 2e-5]
lora = [5e-4, 1e-3]
prompt = [1e-3, 2e-3]

[generation]
seeds = [0]
"""


@pytest.mark.slow
def test_a_whole_study_from_nothing_to_the_report(results, tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny.toml").write_text(TINY_STUDY)
    monkeypatch.setenv("LORALAB_PROFILE", str(tmp_path / "tiny.toml"))
    assert main(["report"]) == 0
    said = capsys.readouterr().out
    text = (results / "tiny" / "report.md").read_text()
    for heading in ("The design", "Other methods", "on trial"):
        assert heading in text
    assert not re.search(r"\bnan\b", text)
    assert main(["report"]) == 0
    again = capsys.readouterr().out
    assert "done in" in said and "done in" not in again
    assert (results / "tiny" / "report.md").read_text() == text
