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
        "respuesta más parecida",
        "base con 3 ejemplos",
        "nats por token",
        "Generación: quixote-qa · smollm2-135m",
    ]
    for text in names:
        assert text in page
    assert "Perfil smoke" in page
    capsys.readouterr()
    assert main(["run"]) == 0
    assert "done in" not in capsys.readouterr().out


def test_an_unknown_profile_is_a_message_and_not_a_traceback(monkeypatch, capsys):
    monkeypatch.setenv("LORALAB_PROFILE", "gpu")
    assert main(["run"]) == 1
    assert "profile cannot be 'gpu'. Choose one of: smoke, cpu, study, t4, large." in capsys.readouterr().err
