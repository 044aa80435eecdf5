import base64
import re

import pytest

from loralab.messages import set_language
from loralab.report import (
    compare_accuracy,
    comparison_table,
    margin_verdict,
    promises,
    provenance_table,
    rank_verdict,
    sentences,
    write_report,
)


def test_sentences_turn_with_the_results(make):
    full = make("full", right=800, seconds=75, peak=600)
    lora = make("lora", right=850, seconds=50, peak=300)
    text = " ".join(sentences([full], [lora]))
    assert "Accuracy: 5.0 ± 1.4 percentage points lower for full fine-tuning than for LoRA r=8" in text
    assert "Full fine-tuning took 1.50 times as long" in text and "50.0% less peak memory" in text

    text = " ".join(sentences([make("full", right=850, seconds=25, peak=250)], [make("lora", right=800)]))
    assert "Accuracy: 5.0 ± 1.4 percentage points higher for full fine-tuning than for LoRA r=8" in text
    assert "LoRA took 2.00 times as long" in text and "20.0% more peak memory" in text

    text = " ".join(sentences([make("full", right=799, seconds=51)], [make("lora", right=800)]))
    assert "minus that of LoRA r=8: \u22120.1 ± 0.2 percentage points" in text
    assert "one cannot tell which is right more often" in text and "not enough to tell which method is faster" in text


def test_smoke_results_are_marked(make, tmp_path):
    assert "Smoke profile" in sentences([make("full", profile="smoke")], [make("lora", profile="smoke")])[0]
    smoke_pair = [make(rank=4, profile="smoke"), make()]
    assert comparison_table(smoke_pair).columns.name == "smoke profile, not a finding"
    assert rank_verdict(smoke_pair, 8).startswith("[smoke profile")
    assert compare_accuracy(smoke_pair[:1], smoke_pair[1:]).startswith("[smoke profile")
    assert margin_verdict(smoke_pair[:1], smoke_pair[1:], 0.01).startswith("[smoke profile")
    assert comparison_table([make()]).columns.name is None
    assert "Smoke" not in " ".join(sentences([make("full")], [make("lora")]))
    lora = make("lora", profile="smoke")
    write_report([make("full"), lora], [lora], 0.01, tmp_path / "report.html")
    assert 'class="banner"' in (tmp_path / "report.html").read_text()


def test_the_table_has_the_nine_rows_and_more(make):
    table = comparison_table([make("majority", right=500), make("full", seconds=75, peak=600), make("lora")])
    assert list(table.columns) == ["majority class", "full fine-tuning", "LoRA r=8"]
    lora = table["LoRA r=8"]
    assert lora["test accuracy"] == "80.0% ± 2.5"
    assert lora["test loss"] == "0.500"
    assert lora["trainable parameters"] == "74,498" and lora["… of them in the adapter"] == "73,728"
    assert lora["share of all parameters"] == "0.327%"
    assert lora["training seconds"] == "50.0" and lora["training minutes"] == "0.83"
    assert lora["peak memory (MiB)"] == "300"
    assert (
        lora["speed relative to full fine-tuning (×)"] == "1.50"
        and lora["memory saved relative to full fine-tuning"] == "50.0%"
    )
    assert lora["test examples"] == "1,000" and lora["seeds"] == "1"
    assert table["majority class"]["peak memory (MiB)"] == "–"


def test_seeds_are_averaged_and_counted(make):
    table = comparison_table([make(seed=0, right=800), make(seed=1, right=820)])
    assert table["LoRA r=8"]["test accuracy"].startswith("81.0%")
    assert table["LoRA r=8"]["seeds"] == "2"


def test_every_seed_is_shown(make):
    row = "… seed by seed (%)"
    assert comparison_table([make(seed=0, right=800), make(seed=1, right=820)])["LoRA r=8"][row] == "80.0 · 82.0"
    assert row not in comparison_table([make()]).index


def test_rank_verdict_turns_with_the_results(make):
    same = [make(rank=4, right=800), make(rank=8, right=802)]
    assert rank_verdict(same, 8) == "No rank can be told apart from r=8 (alpha=16, fixed)"
    apart = [make(rank=4, right=800), make(rank=8, right=850)]
    assert rank_verdict(apart, 8) == "Difference from r=8, in points: r=4, \u22125.0 ± 1.4 (alpha=16, fixed)"


def test_more_looks_ask_more_of_each(make):
    # 1.2 points on 1,000 examples: ± 0.67 in one look at 95 %; ± 0.76 in two at 97.5 %
    two = [make(rank=4, right=812), make(rank=8, right=800)]
    assert "r=4, 1.2 ± 0.7" in rank_verdict(two, 8)
    assert "r=4, 1.2 ± 0.8" in rank_verdict([*two, make(rank=16, right=800)], 8)


def test_a_verdict_needs_pairs(make):
    with pytest.raises(ValueError, match=r"seeds are \[\[0\], \[1\]\]"):
        compare_accuracy([make("full", seed=0)], [make(seed=1)])


def seeds(make, method, *right):
    return [make(method, seed=seed, right=n) for seed, n in enumerate(right)]


def test_the_luck_of_training_widens_the_interval(make):
    steady = seeds(make, "full", 820, 820, 820), seeds(make, "lora", 800, 800, 800)
    unsteady = seeds(make, "full", 850, 790, 820), seeds(make, "lora", 800, 800, 800)
    assert "2.0 ± 0.9 percentage points higher" in compare_accuracy(*steady)
    assert "(3 seeds)" in compare_accuracy(*steady)
    assert "cannot tell" in compare_accuracy(*unsteady)
    assert "leaves out the luck of training" in compare_accuracy(steady[0][:1], steady[1][:1])


@pytest.mark.parametrize(
    ("full", "margin", "verdict"),
    [
        ((801, 801, 800), 0.01, "Equivalent"),
        ((820, 820, 820), 0.01, "Different: "),
        ((820, 820, 820), 0.04, "Different, but by less"),
        ((830, 770, 810), 0.01, "Cannot tell"),
    ],
)
def test_the_four_verdicts(make, full, margin, verdict):
    assert margin_verdict(seeds(make, "full", *full), seeds(make, "lora", 800, 800, 800), margin).startswith(verdict)


def test_promises_are_kept_or_not_as_the_results_say(make):
    def held(full, lora, ratios, margin=0.01):
        return list(promises(full, lora, ratios, margin)["does it hold here?"])

    full, lora = seeds(make, "full", 820, 820, 820), seeds(make, "lora", 800, 800, 800)
    assert held(full, lora, [1.4, 1.5]) == ["no: fewer", "no", "no", "no"]
    roomy = seeds(make, "full", 801, 801, 800)
    roomy = [make("full", seed=seed, right=r.predictions.count(1), peak=700) for seed, r in enumerate(roomy)]
    assert held(roomy, lora, [3.5, 4.0]) == ["no: fewer", "yes", "yes", "yes"]
    assert held(seeds(make, "full", 830, 770, 810), lora, [2.0, 4.0])[1::2] == ["cannot tell", "cannot tell"]


def test_accuracy_sentence_in_spanish(make):
    set_language("es")
    assert (
        "5,0 ± 1,4 puntos porcentuales más en fine-tuning completo que en LoRA r=8, con estos 1000"
        in compare_accuracy([make("full", right=850)], [make("lora", right=800)])
    )


def test_provenance_names_every_result(make):
    table = provenance_table([make("full"), make("majority")])
    assert list(table["profile"]) == ["cpu", "cpu"]
    assert list(table["code"]) == ["c", "c"]


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_page_stands_alone(make, tmp_path, language):
    set_language(language)
    full, lora = make("full"), make("lora")
    write_report([make("majority"), full, lora], [lora, make(rank=4)], 0.01, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f'<html lang="{language}">' in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    images = re.findall(r'<img [^>]*alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == 4
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for _, data in images)
    assert 'class="banner"' not in page
