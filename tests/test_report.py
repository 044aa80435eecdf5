import base64
import re
from dataclasses import replace

import pytest

from loralab.experiment import Result
from loralab.figures import (
    accuracy_against_rank,
    comparison_panel,
    exam_luck,
    loss_curve,
    padding_bars,
    parameters_against_rank,
)
from loralab.messages import set_language
from loralab.profiles import load_profile
from loralab.report import (
    compare_accuracy,
    comparison_table,
    provenance_table,
    rank_verdict,
    sentences,
    write_report,
)

PROVENANCE = {
    "data": "d",
    "code": "c",
    "weights": "w",
    "device": "2 × CPU",
    "date": "2026-01-01",
    "versions": {"torch": "2"},
}


@pytest.fixture
def make():
    cpu = load_profile("cpu")

    def result(method="lora", right=800, seconds=50.0, peak=300, profile="cpu", **changes):
        """A result with the first `right` of 1,000 test answers right."""
        trained = method in ("full", "lora", "head")
        parameters = {"adapter": 73728 * (method == "lora"), "head": 770, "trainable": 74498, "total": 22787714}
        return Result(
            experiment=cpu.experiment(method, **changes).but(profile=profile),
            test={"accuracy": right / 1000, "f1": 0.8, "mcc": 0.6} | ({"loss": 0.5} if trained else {}),
            predictions=[1] * right + [0] * (1000 - right),
            labels=[1] * 1000,
            epochs=[{"accuracy": 0.7, "loss": 0.6}, {"accuracy": 0.8, "loss": 0.5}] if trained else [],
            loss_by_step=[0.7 - 0.001 * i for i in range(100)] if trained else [],
            parameters=parameters if trained else {},
            seconds={"training": seconds, "evaluation": 1.0},
            memory={"peak_bytes": peak * 2**20, "method": "profiler"} if trained else {},
            tokens={},
            provenance=PROVENANCE,
        )

    return result


def test_sentences_turn_with_the_results(make):
    full = make("full", right=800, seconds=75, peak=600)
    lora = make("lora", right=850, seconds=50, peak=300)
    text = " ".join(sentences(full, lora))
    assert "Accuracy: full fine-tuning is 5.0 ± 1.4 percentage points below LoRA r=8" in text
    assert "Full fine-tuning took 1.50 times as long" in text and "50.0% less peak memory" in text

    text = " ".join(sentences(make("full", right=850, seconds=25, peak=250), make("lora", right=800)))
    assert "Accuracy: full fine-tuning is 5.0 ± 1.4 percentage points above LoRA r=8" in text
    assert "LoRA took 2.00 times as long" in text and "20.0% more peak memory" in text

    text = " ".join(sentences(make("full", right=799, seconds=51), make("lora", right=800)))
    assert "minus LoRA r=8, \u22120.1 ± 0.2 percentage points" in text
    assert "one cannot tell which is better" in text and "cannot tell which method is faster" in text


def test_smoke_results_are_marked(make, tmp_path):
    assert "Smoke profile" in sentences(make("full", profile="smoke"), make("lora", profile="smoke"))[0]
    smoke_pair = [make(rank=4, profile="smoke"), make()]
    assert comparison_table(smoke_pair).columns.name == "smoke profile, not a finding"
    assert rank_verdict(smoke_pair).startswith("[smoke profile")
    assert compare_accuracy(*smoke_pair).startswith("[smoke profile")
    assert comparison_table([make()]).columns.name is None
    assert "Smoke" not in " ".join(sentences(make("full"), make("lora")))
    lora = make("lora", profile="smoke")
    write_report([make("full"), lora], [lora], tmp_path / "report.html")
    assert 'class="banner"' in (tmp_path / "report.html").read_text()


def test_the_table_has_the_nine_rows_and_more(make):
    table = comparison_table([make("majority", right=500), make("full", seconds=75, peak=600), make("lora")])
    assert list(table.columns) == ["majority class", "full fine-tuning", "LoRA r=8"]
    lora = table["LoRA r=8"]
    assert lora["test accuracy"] == "80.0% ± 2.5"
    assert lora["test loss"] == "0.500"
    assert lora["trainable parameters"] == "74,498" and lora["… of them in the adapter"] == "73,728"
    assert lora["% of all parameters"] == "0.327%"
    assert lora["training seconds"] == "50.0" and lora["training minutes"] == "0.83"
    assert lora["peak memory (MiB)"] == "300"
    assert lora["speed-up over full (times)"] == "1.50" and lora["memory saved against full"] == "50.0%"
    assert lora["test examples"] == "1,000" and lora["seeds"] == "1"
    assert table["majority class"]["peak memory (MiB)"] == "–"


def test_seeds_are_averaged_and_counted(make):
    table = comparison_table([make(seed=0, right=800), make(seed=1, right=820)])
    assert table["LoRA r=8"]["test accuracy"].startswith("81.0%")
    assert table["LoRA r=8"]["seeds"] == "2"


def test_rank_verdict_turns_with_the_results(make):
    same = [make(rank=4, right=800), make(rank=8, right=802)]
    assert rank_verdict(same) == "No rank can be told apart from r=4 (alpha=16, fixed)"
    apart = [make(rank=4, right=800), make(rank=8, right=850)]
    assert rank_verdict(apart) == "Against r=4, in points: r=8: 5.0 ± 1.4 (alpha=16, fixed)"


def test_accuracy_sentence_in_spanish(make):
    set_language("es")
    assert (
        "fine-tuning completo queda 5,0 ± 1,4 puntos porcentuales por encima de LoRA r=8, medidos en estos 1000"
        in compare_accuracy(make("full", right=850), make("lora", right=800))
    )


def test_provenance_names_every_result(make):
    table = provenance_table([make("full"), make("majority")])
    assert list(table["profile"]) == ["cpu", "cpu"]
    assert list(table["code"]) == ["c", "c"]


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_page_stands_alone(make, tmp_path, language):
    set_language(language)
    full, lora = make("full"), make("lora")
    write_report([make("majority"), full, lora], [lora, make(rank=4)], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f'<html lang="{language}">' in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    images = re.findall(r'<img [^>]*alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == 4
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for _, data in images)
    assert 'class="banner"' not in page


def test_titles_say_what_the_data_shows(make):
    picture = padding_bars({"512": 0.95, "batch": 0.5})
    assert picture.figure.get_suptitle() == "“to 512” processes 10.0 times the tokens of “by batch”"
    assert "95.0%" in picture.alt and "50.0%" in picture.alt

    picture = parameters_against_rank({1: 768, 8: 6144}, 384, 384)
    assert "Above r = 192" in picture.alt and "r=8: 6,144" in picture.alt

    worse = replace(make("lora"), epochs=[{"loss": 0.4}, {"loss": 0.6}])
    assert "validation is best after epoch 1 of 2 (0.400)" in loss_curve(worse).alt
    assert "validation is best after epoch 2 of 2 (0.500)" in loss_curve(make("lora")).alt

    assert "800" in exam_luck([0.8, 0.81, 0.82], 0.8, 800).alt
    assert "r=4, seed=0: 80.0% ± 2.5" in accuracy_against_rank([make(rank=4)], "verdict").alt
    assert "50 / 60" not in comparison_panel(make("full", seconds=60), make("lora"), "title").alt
    assert "60 / 50" in comparison_panel(make("full", seconds=60), make("lora"), "title").alt


def test_a_picture_shows_as_an_image_with_its_text(make):
    shown = loss_curve(make("lora"))._repr_html_()
    assert re.match(r'<img style="max-width:100%" alt="LoRA: validation[^"]+" src="data:image/png;base64,', shown)
