import base64
import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from loralab.data.splits import load_pairs
from loralab.evidence.report import Table, to_markdown, write_report
from loralab.evidence.study import Evidence, gather
from loralab.lessons.start import own_profile
from loralab.messages import set_language
from loralab.profiles import load_profile, profiles
from loralab.show.scores import difference, method_name, own_score
from loralab.show.sentences import compare, findings, forgetting, margin_verdict, rank_verdict
from loralab.show.stats import half_width
from loralab.show.tables import LEAST_TEST, comparison_table, provenance_table, samples_table


def evidence_of(comparison, ranks):
    """What a profile without sweeps has."""
    cpu = load_profile("cpu")
    track = cpu if comparison[0].experiment.task == "classification" else cpu.generation
    ranked = replace(track, ranks=tuple(sorted({result.experiment.rank for result in ranks})))
    return Evidence(track=ranked, comparison=comparison, ranks=ranks)


def test_sentences_turn_with_the_results(make):
    full = make("full", right=800, seconds=75, peak=600)
    lora = make("lora", right=850, seconds=50, peak=300)
    text = " ".join(findings([full], [lora]))
    assert "Accuracy: 5.0 ± 1.4 percentage points lower for full fine-tuning than for LoRA r=8" in text
    assert "Full fine-tuning took 1.50 times as long" in text and "50.0% less peak memory" in text

    text = " ".join(findings([make("full", right=850, seconds=25, peak=250)], [make("lora", right=800)]))
    assert "Accuracy: 5.0 ± 1.4 percentage points higher for full fine-tuning than for LoRA r=8" in text
    assert "LoRA took 2.00 times as long" in text and "20.0% more peak memory" in text

    text = " ".join(findings([make("full", right=799, seconds=51)], [make("lora", right=800)]))
    assert "minus that of LoRA r=8: \u22120.1 ± 0.2 percentage points" in text
    assert "one cannot tell which is right more often" in text and "not enough to tell which method is faster" in text


def test_speed_measured_in_turns_speaks_for_itself(make):
    pair = [make("full", seconds=75)], [make("lora", seconds=50)]
    assert "in turns" not in " ".join(findings(*pair))
    said = {name: findings(*pair, ratios)[2] for name, ratios in TURNS.items()}
    assert "full fine-tuning is slower" in said["faster"] and "1.20 times (1.20 to 1.20)" in said["faster"]
    assert "LoRA is slower" in said["slower"] and "0.80 times" in said["slower"]
    assert "cannot tell" in said["unclear"]


TURNS = {"faster": [1.2, 1.2, 1.2], "slower": [0.8, 0.8, 0.8], "unclear": [0.5, 2.0, 1.1]}


def test_results_of_a_small_test_are_marked_in_any_profile(make, tmp_path):
    full, lora, without = make("full", test_size=99), make("lora", test_size=99), "Too few test examples: no verdict"
    assert "Too few test examples (under 100" in findings([full], [lora])[0]
    small_pair = [make(rank=4, test_size=99), make()]
    assert comparison_table(small_pair).columns.name == "too few test examples, not a finding"
    assert rank_verdict(small_pair, 8) == margin_verdict(small_pair[:1], small_pair[1:], 0.01) == without
    assert compare(small_pair[:1], small_pair[1:]).startswith("[too few test examples")
    assert comparison_table([make(test_size=100, profile="smoke")]).columns.name is None
    assert "Too few" not in " ".join(findings([make("full")], [make("lora")]))
    write_report([evidence_of([full, lora], [lora])], tmp_path)
    assert 'class="banner"' in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_report_shows_what_another_profile_trained(tmp_path, capsys):
    sizes = 'base = "smoke"\ntrain_size = 16\nvalidation_size = 4\ntest_size = 8\nranks = [8]\n'
    found = {}
    for name, seeds in (("mine", [0]), ("class", [0, 1])):
        (tmp_path / f"{name}.toml").write_text(f"{sizes}seeds = {seeds}\n")
        found[name] = gather(own_profile(tmp_path / f"{name}.toml"))
    assert capsys.readouterr().out.count("done before") > 3
    assert {result.experiment.profile for result in found["class"].results} == {"mine", "class"}
    write_report([found["class"]], tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# LoRA Lab: results of the class profile\n\n") and "| mine " in text
    assert "Too few test examples" in text.split("\n\n")[1]


def test_what_a_model_wrote_is_no_markup_in_markdown():
    answers = pd.DataFrame({"answer": ["<script>a</script> *b* `c` [d](e)|f\n# g"]})
    *_, row = to_markdown([Table(answers, index=False)]).splitlines()
    assert row.strip("| ") == r"\<script\>a\</script\> \*b\* \`c\` \[d\](e)\|f # g"


def test_a_small_test_is_one_of_the_smoke_profile_and_of_no_other():
    for name, row in profiles().items():
        for task, sizes in (("classification", row), ("generation", row["generation"])):
            assert (sizes["test_size"] < LEAST_TEST[task]) == (name == "smoke")


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
    about = "(alpha=16, fixed; one seed, 0; the ± leaves out the luck of training)"
    assert rank_verdict(same, 8) == f"No rank can be told apart from r=8 {about}"
    apart = [make(rank=4, right=800), make(rank=8, right=850)]
    assert rank_verdict(apart, 8) == f"Difference from r=8, in points: r=4, \u22125.0 ± 1.4 {about}"


def test_more_looks_ask_more_of_each(make):
    # 1.2 points on 1,000 examples: ± 0.67 in one look at 95 %; ± 0.76 in two at 97.5 %
    two = [make(rank=4, right=812), make(rank=8, right=800)]
    assert "r=4, 1.2 ± 0.7" in rank_verdict(two, 8)
    assert "r=4, 1.2 ± 0.8" in rank_verdict([*two, make(rank=16, right=800)], 8)


def test_a_verdict_needs_pairs(make):
    with pytest.raises(ValueError, match=r"seeds are \[\[0\], \[1\]\]"):
        compare([make("full", seed=0)], [make(seed=1)])


def seeds(make, method, *right):
    return [make(method, seed=seed, right=n) for seed, n in enumerate(right)]


def test_the_luck_of_training_widens_the_interval(make):
    steady = seeds(make, "full", 820, 820, 820), seeds(make, "lora", 800, 800, 800)
    unsteady = seeds(make, "full", 850, 790, 820), seeds(make, "lora", 800, 800, 800)
    assert "2.0 ± 0.9 percentage points higher" in compare(*steady)
    assert "(3 seeds)" in compare(*steady)
    assert "cannot tell" in compare(*unsteady)
    assert "leaves out the luck of training" in compare(steady[0][:1], steady[1][:1])


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


def test_accuracy_sentence_in_spanish(make):
    set_language("es")
    assert "5,0 ± 1,4 puntos porcentuales más en fine-tuning completo que en LoRA r=8, con estos 1000" in compare(
        [make("full", right=850)], [make("lora", right=800)]
    )


def test_provenance_names_every_result(make):
    table = provenance_table([make("full"), make("majority")])
    assert list(table["profile"]) == ["cpu", "cpu"]
    assert list(table["training version"]) == [2, 2]


def test_losses_are_compared_in_nats(make_answers):
    # 2.0 and 2.1 nats a token; the residuals are ±2 nats on answers of 20 tokens: SD √(80/19), over √20 · 20
    full, lora = make_answers("full", nats=42), make_answers("lora", nats=40)
    half = f"{1.96 * (80 / 19) ** 0.5 / 20**0.5 / 20:.3f}"
    assert half == "0.045"
    assert f"0.100 ± {half} nats higher for full fine-tuning than for LoRA r=16, on these 20 questions" in compare(
        [full], [lora]
    )
    assert "nats lower for LoRA r=16 than for full" in compare([lora], [full])
    assert "minus that of LoRA r=16: 0.025 ± 0.045 nats" in compare([make_answers("full", nats=40.5)], [lora])
    assert margin_verdict([full], [lora], 0.2).startswith("Different, but by less than 0.200 nats")
    assert margin_verdict([full], [lora], 0.05).startswith("Different: full")
    ranks = [lora, make_answers("lora", nats=60, rank=4)]
    assert rank_verdict(ranks, 16).startswith("Difference from r=16, in nats: r=4, 1.000 ± 0.000")


def test_a_prompted_model_stands_beside_each_seed(make_answers):
    tuned = [make_answers("lora", nats=nats, seed=seed) for seed, nats in enumerate((40, 42, 44))]
    found = difference(tuned, [make_answers("base", nats=80)])
    assert found.by_seed == pytest.approx((-2.0, -1.9, -1.8))
    assert "nats lower for LoRA r=16 than for base" in compare(tuned, [make_answers("base", nats=80)])


def test_answers_to_other_questions_are_not_compared(make_answers):
    other = replace(make_answers("full"), questions=["another?"] * 20, labels=["another"] * 20)
    with pytest.raises(ValueError, match="division into tokens"):
        compare([other], [make_answers()])
    with pytest.raises(ValueError, match=r"full fine-tuning, LoRA r=16 did not answer the same questions"):
        samples_table([other, make_answers()])


def test_answers_stand_side_by_side(make_answers):
    results = [make_answers(method) for method in ("retrieval", "base", "few-shot", "full", "lora")]
    table = samples_table([*results, make_answers(seed=1)], count=3)
    names = ["answer to the most similar question", "base", "base, 3 examples", "full fine-tuning", "LoRA r=16"]
    assert list(table.columns) == ["written answer", *names] == ["written answer", *map(method_name, results)]
    assert list(table.index) == ["question 0?", "question 1?", "question 2?"] and table.index.name == "question"
    assert list(table.loc["question 1?"]) == ["reference 1", *(f"{r.experiment.method} says 1" for r in results)]
    assert len(samples_table(results)) == 10 and table.columns.name == "greedy decoding, 80 tokens at most"
    found = make_answers(test_size=15, max_new_tokens=40, repetition_penalty=1.15)
    decoded = "greedy decoding, 40 tokens at most, repetition penalty 1.15"
    assert samples_table([found]).columns.name == f"{decoded} · too few test examples, not a finding"
    assert samples_table([make_answers("retrieval")]).columns.name is None


def test_forgetting_turns_with_the_results(make_answers):
    base = make_answers("base", other=3.5)
    worse = [make_answers(other=3.7, seed=0), make_answers(other=3.9, seed=1)]
    assert forgetting(base, worse) == (
        "Forgetting: on sentences from newspaper editorials, not trained on here, the loss of LoRA r=16 rises from "
        "3.500 to 3.800 nats per token (0.300 more; the mean of 0.200 · 0.400). They are few, and there is no ±."
    )
    assert "does not rise" in forgetting(base, [make_answers(other=3.5004)])
    assert "does not rise: from 3.500 to 3.250 nats per token (\u22120.250)" in forgetting(
        base, [make_answers(other=3.25)]
    )
    assert forgetting(base, [make_answers(test_size=15)]).startswith("[too few test examples")


def test_a_groups_own_interval_holds_both_kinds_of_luck(make):
    one = [make(right=800)]
    assert own_score(one).mean == pytest.approx(0.8)
    assert own_score(one).half() == pytest.approx(half_width(0.8, 1000), rel=2e-3)  # Student, of 1,000
    two = [make(right=790, seed=0), make(right=810, seed=1)]  # SD 1.41 points; Student's factor for two seeds, 8.98
    assert own_score(two).half() > 0.0141 * 8.98


def test_questions_of_one_topic_count_once_in_a_single_score(make_answers):
    """Two topics: 40 and 44 nats over 20 tokens each. Their deviations from the loss are 0.1·20 either way, with
    Student's t for two, 12.7."""
    pairs, _ = load_pairs("quixote-qa")
    topics = list(dict.fromkeys(pairs["topic"]))[:2]
    asked = [q for topic in topics for q in pairs["input"][pairs["topic"] == topic].head(10)]
    nats = [40.0] * 10 + [44.0] * 10
    one = replace(make_answers("base"), questions=asked, answer_nats=nats)
    assert own_score([one]).mean == pytest.approx(2.1)
    assert own_score([one]).half() == pytest.approx(12.706 * 20 * math.sqrt(2) * math.sqrt(2) / 400, rel=1e-3)


def test_prompted_models_have_no_seed_to_speak_of(make_answers):
    base, shots = make_answers("base", nats=80), make_answers("few-shot", nats=70)
    assert "(nothing trained)" in compare([shots], [base])
    tuned = [make_answers(seed=0, nats=50), make_answers(seed=1, nats=52)]
    assert compare(tuned, [base]).startswith("Loss per answer token") and "(2 seeds)" in compare([base], tuned)


def test_a_language_model_has_no_head_to_count(make_answers):
    text = " ".join(findings([make_answers("full")], [make_answers("lora")]))
    assert "every one in the adapter" in text and "in the head" not in text


def test_the_table_of_answers(make_answers):
    table = comparison_table(
        [make_answers("retrieval"), make_answers("base", nats=60), make_answers("full", seconds=75)]
    )
    assert list(table.columns) == ["answer to the most similar question", "base", "full fine-tuning"]
    full, base = table["full fine-tuning"], table["base"]
    assert (base["loss (nats per token)"], base["perplexity"]) == ("3.000", "20.1")
    assert full["chrF"] == "20.0" and full["distinct-2"] == "0.90" and full["words per answer"] == "30.0"
    assert full["longest copy (words)"] == "5" and full["loss on editorials"] == "3.500"
    assert table["answer to the most similar question"]["perplexity"] == base["trainable parameters"] == "–"
    assert "… seed by seed" not in table.index and "test accuracy" not in table.index
    several = comparison_table([make_answers(seed=0), make_answers(seed=1, nats=60)])
    assert several["LoRA r=16"]["… seed by seed"] == "7.4 · 20.1"


@pytest.fixture
def studies(make, make_answers):
    full, lora = make("full"), make("lora")
    classes = evidence_of([make("majority"), full, lora], [lora, make(rank=4)])
    answers = [make_answers(method) for method in ("retrieval", "base", "few-shot", "full", "lora")]
    answers[3].predictions[0] = "<script>alert('x')</script>"
    return [classes, evidence_of(answers, [answers[-1], make_answers(rank=4)])]


HEADINGS = {
    "es": ("Clasificación: film-reviews", "puntos porcentuales", "Generación: quixote-qa", "nats por token"),
    "en": ("Classification: film-reviews", "percentage points", "Generation: quixote-qa", "nats per token"),
}


@pytest.mark.parametrize("language", HEADINGS)
def test_the_page_stands_alone_and_holds_both_studies(studies, tmp_path, language):
    set_language(language)
    write_report(studies, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert f'<html lang="{language}">' in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "<script" not in page  # markup in an answer is only text
    images = re.findall(r'<img [^>]*alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == 4 + 5
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for _, data in images)
    assert 'class="banner"' not in page
    assert len(re.findall("<h2>(.*)</h2>", page)) == 3
    places = [page.index(text) for text in (*HEADINGS[language], "lora says 9")]
    assert places == sorted(places)
    for study in studies:
        for result in (*study.comparison, *study.ranks):
            assert page.count(result.experiment.key) == 1
