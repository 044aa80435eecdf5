"""The report of a whole study, from results made up so that what it should say is known."""

import re
from dataclasses import replace

import numpy as np
import pytest
from published import (
    band,
    check_results,
    compare_results,
    lessons_results,
    main,
    publish,
    publish_study,
    run_again,
    state,
)
from run_study import measure_study

from loralab.evidence.claims import claims_note
from loralab.evidence.protocol import HASH
from loralab.evidence.report import report, to_markdown, write_report
from loralab.evidence.study import at_hand, check_one, gather, recorded
from loralab.evidence.sweeps import one_by_one
from loralab.evidence.tables import group_table, other_methods_table, rank_groups, target_groups, time_table
from loralab.evidence.timing import Timing
from loralab.evidence.update import Update
from loralab.messages import set_language
from loralab.profiles import load_profile
from loralab.train.run import results_dir

KINDS = {"classification": ("full", "head", "lora"), "generation": ("full", "lora")}
RATES = {"full": 2.5e-5, "lora": 5e-4, "head": 1e-3, "ia3": 1e-2, "prompt": 4e-3, "prefix": 4e-3}


@pytest.fixture(scope="module")
def made_up(make, make_answers):
    """Results by experiment: 80 % right, by luck more or less; the lowest validation loss inside the sweep."""

    def run(experiment):
        classifies = experiment.task == "classification"
        best = (RATES if classifies else {"full": 2e-4, "lora": 4e-3}).get(experiment.method, experiment.learning_rate)
        loss = 0.4 + 0.01 * abs(np.log2(experiment.learning_rate / best)) + 0.001 * experiment.seed
        method = (
            experiment.method if experiment.method in ("majority", "tfidf", "frozen", "retrieval", "base") else "lora"
        )
        method = "few-shot" if experiment.method == "few-shot" else method
        result = make(method) if classifies else make_answers(method, nats=40 + 0.01 * experiment.seed)
        random = np.random.default_rng(sum(experiment.key.encode()))
        luck, size = {}, experiment.test_size * experiment.examined
        if method == "lora":
            steps = experiment.epochs * experiment.train_size // experiment.batch_size
            luck = {"epochs": [{"accuracy": 0.8, "loss": loss}] * experiment.epochs}
            luck |= {"loss_by_step": np.linspace(0.7, 0.6, steps).tolist(), "learning_rate_by_step": [1e-3] * steps}
        if classifies:
            right = (random.random(size) < 0.8).astype(int).tolist()
            luck |= {"predictions": right, "labels": [1] * size}
            luck |= {"test": result.test | {"accuracy": float(np.mean(right))} if size else {}}
            luck |= {"test_losses": [0.5] * size * bool(result.test_losses)}
        else:
            exam = ("predictions", "labels", "questions", "answer_chrf", "answer_nats", "answer_tokens")
            luck |= {name: (5 * getattr(result, name))[:size] for name in exam} | ({} if size else {"test": {}})
        rests_on = result.provenance | {"protocol": HASH}
        return replace(result, experiment=experiment, provenance=rests_on, **luck)

    return run


@pytest.fixture(scope="module")
def evidence(made_up):
    study = load_profile("study")
    random = np.random.default_rng(0)
    seconds = {"full": (2 + 0.1 * random.random(30)).tolist(), "lora": [1.0] * 30}
    seconds |= {method: [1.5] * 30 for method in study.methods}
    counts = {"full": 15 * 10**9, "lora": 10 * 10**9}
    found = []
    for track in (study, study.generation):
        timing = Timing(seconds=seconds, tokens=[100] * 30, expected=counts)
        values = sorted((10 * random.random(384)).tolist(), reverse=True)
        update = Update(
            layer="l", seed=0, full=values, lora=values[:8], similarity={"full": [0.9] * 16, "lora": [0.5] * 16},
            shared=0.5, by_chance=0.02,
        )  # fmt: skip
        inside = [update] if track is study else []
        found.append(replace(gather(track, one_by_one(made_up)), timing=timing, updates=inside))
    return found


@pytest.mark.parametrize("language", ["es", pytest.param("en", marks=pytest.mark.slow)])
def test_the_whole_report_in_both_languages(evidence, tmp_path, language):
    set_language(language)
    write_report(evidence, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "banner" not in re.sub(
        "<style>.*</style>", "", page, flags=re.S
    )
    assert "<code>make sizes</code>" in page
    assert page.count("<img ") == (2 + 2 + 1 + 2 + 3 + 1) + (1 + 2 + 1 + 2 + 1 + 1)
    text = (tmp_path / "report.md").read_text()
    assert text.count("\n## ") == 5 and text.startswith("# ")
    verdicts = {"es": ("refutado", "confirmado"), "en": ("refuted", "confirmed")}[language]
    assert all(word in text for word in verdicts)
    assert not re.search("training (seconds|minutes)", text)  # no run is timed by its own seconds


def test_every_place_stands_beside_the_tracks_own_rank_in_pairs(evidence):
    for track, rank, modules in ((evidence[0], "r = 8", 2), (evidence[1], "r = 16", 2)):
        table = group_table(rank_groups(track), beside=rank)
        assert list(table.index) == ["r = 1", "r = 4", "r = 8", "r = 16", "r = 32"]
        assert list(table[f"minus “{rank}”, in pairs"] == "–") == [name == rank for name in table.index]
        assert len(target_groups(track)) == 1 + modules
    own, *others = group_table(target_groups(evidence[1]), beside="all linear layers").index
    assert (own, others) == ("all linear layers", ["query and value", "all attention"])


def test_time_worked_by_hand(evidence):
    table = time_table(evidence[0])
    assert table.loc["a step (median)", "LoRA"] == "1,000 ms"
    assert table.loc["operations of a step, by formula", "full / LoRA"] == "1.50"
    assert table.loc["a real token", "LoRA"] == "10,000 µs"
    # Made up with the same loss curve for both, so to one loss it takes the same steps and the ratio of a step's time.
    steps = table.loc["to the same loss: steps · seconds"]
    assert steps["full"].split(" · ")[0] == steps["LoRA"].split(" · ")[0]


def test_a_token_weighs_long_batches_more_than_a_round_does(evidence):
    """Two rounds: 1 s against 1 s on 100 tokens, 9 s against 3 s on 300: a token's ratio is 10/4, not a round's √3."""
    timing = replace(evidence[0].timing, seconds={"full": [1.0, 9.0], "lora": [1.0, 3.0]}, tokens=[100, 300])
    table = time_table(replace(evidence[0], timing=timing))
    assert table.loc["a real token", "full / LoRA"] == "2.50"
    assert table.loc["a step (median)", "full / LoRA"].startswith("1.73 times (")


def test_other_methods_are_timed_in_turns(evidence):
    table = other_methods_table(evidence[0])
    over_lora = table["a step’s time / that of LoRA’s, in turns"]
    assert over_lora["DoRA r=8, s = 4.00"] == "1.50 times (1.50 to 1.50)" and over_lora["LoRA r=8, s = 4.00"] == "–"
    assert "edge" not in "".join(table["learning rate"])
    assert "95% interval (exam luck alone)" in table and not any("both" in name for name in table)


def test_a_rate_at_the_edge_of_its_sweep_is_marked_beside_the_score(evidence):
    track = evidence[0]
    cut = [replace(s, results=s.results[:2]) if s.method == "prompt" else s for s in track.sweeps]
    table = other_methods_table(replace(track, sweeps=cut))
    assert "at the edge" in table.loc["prompt tuning", "learning rate"]


def test_a_study_published_and_read_again(evidence, tmp_path, made_up, monkeypatch):
    source, published = tmp_path / "results", tmp_path / "reference"
    for track in evidence:
        for result in track.results:
            result.save(source / "runs" / result.experiment.key / "result.json")
        monkeypatch.setattr("run_study.race", lambda _, track=track: track.timing)
        monkeypatch.setattr("run_study.updates", lambda *_, track=track: track.updates)
        monkeypatch.setattr("run_study.peaks", lambda e, d, rows, length: [1000 + e.rank] * len(rows))
        measure_study(track, source / "study")
    publish_study(at_hand(source), source, published)
    again = at_hand(published)
    assert [track.results for track in again] == [track.results for track in evidence]
    assert again[0].timing == evidence[0].timing
    text, code = check_results(every(again), source, [])
    assert code == 0 and "different: 0." in text
    key = evidence[0].of("lora")[0].experiment.key
    (published / "runs" / key / "result.json").unlink()
    with pytest.raises(ValueError, match=key):
        at_hand(published)


def test_one_run_of_each_kind_is_made_again_apart_from_the_results_at_hand(evidence, results, made_up):
    folders = []

    def run(experiment):
        folders.append(results_dir())
        return made_up(experiment)

    again = run_again(evidence, run)
    kinds = [(r.experiment.task, r.experiment.method, r.experiment.seed) for r in again]
    classes, answers = ([(t, m, 0) for m in methods] for t, methods in KINDS.items())
    assert sorted(kinds) == sorted([*classes, *answers])
    assert set(folders) == {results / "again"} and results_dir() == results
    text, code = check_results(every(evidence), results, again)
    assert code == 0 and "again now: 5; in the results: 0 of " in text
    off = [other(r, 100) if r.experiment.method == "head" else r for r in again]
    assert check_results(every(evidence), results, off)[1] == 1


def test_what_is_not_at_hand_cannot_be_published(results, capsys):
    assert main(["replace", "study"]) == 1 and "make study" in capsys.readouterr().err


def every(evidence):
    return [result for track in evidence for result in track.results]


def test_the_lessons_results_are_published_and_judged_in_ones_language(evidence, tmp_path, results):
    """Their own alone, over what was published before; a second time here, one of them with other answers."""
    theirs = [replace(r, experiment=r.experiment.but(profile="cpu")) for r in evidence[0].of("lora")]
    for result in (*theirs, evidence[0].of("full")[0]):
        result.save(results / "runs" / result.experiment.key / "result.json")
    stale = tmp_path / "cpu" / "runs" / "stale" / "result.json"
    stale.parent.mkdir(parents=True)
    stale.touch()
    publish(lessons_results(results), [], results, tmp_path / "cpu")
    published = lessons_results(tmp_path / "cpu")
    assert {r.experiment.key for r in published} == {r.experiment.key for r in theirs} and not stale.exists()
    set_language("es")
    text, code = check_results(published, results, [])
    assert code == 0 and "en los resultados: 4 de 4. Números iguales: 12;" in text
    other(theirs[0], 100).save(results / "runs" / theirs[0].experiment.key / "result.json")
    text, code = check_results(published, results, [])
    assert code == 1 and "distintos: 1." in text and "exactitud en test" in text and "accuracy" not in text


def other(result, right):
    """The result with so many of 1,000 answers right."""
    predictions = [int(i % 1000 < right) for i in range(len(result.labels))]
    return replace(result, predictions=predictions, test=result.test | {"accuracy": float(np.mean(predictions))})


def test_a_number_that_is_off_is_named(evidence, results):
    theirs = evidence[0].of("lora")
    same = compare_results(theirs, theirs)
    assert set(same["state"]) == {"same"}
    wide = band(theirs)
    near, far = other(theirs[0], 1000 * (theirs[0].test["accuracy"] + 0.9 * wide)), other(theirs[0], 100)
    assert list(compare_results([near], theirs)["state"]) == ["within", "same", "same"]
    assert compare_results([far], theirs)["state"].iloc[0] == "different"
    far.save(results / "runs" / far.experiment.key / "result.json")
    text, code = check_results(every(evidence), results, [])
    assert code == 1 and far.experiment.key in text and "different: 1." in text


@pytest.mark.parametrize(("off", "expected"), [(0.0, "same"), (0.001, "within"), (0.1, "different")])
def test_a_sweeps_runs_are_compared_by_their_validation_loss(evidence, off, expected):
    """0.4 to 0.404 with five seeds: one more falls within 2.78·SD·√1.2 = ± 0.005 of them."""
    theirs, published = evidence[0].results, evidence[0].sweeps[0].results[0]
    loss = published.epochs[-1]["loss"] + off
    mine = replace(published, epochs=[{"accuracy": 0.8, "loss": loss}])
    table = compare_results([mine], theirs)
    assert table["number"].iloc[0] == "validation loss (nats)" and table["state"].iloc[0] == expected


@pytest.mark.parametrize(
    ("mine", "expected"), [(0.8, "same"), (0.8 + 1e-8, "same"), (0.81, "within"), (0.79, "within"), (0.83, "different")]
)
def test_three_states(mine, expected):
    assert state(mine, 0.8, half=0.02) == expected


def test_what_differs_in_the_environment_is_said(evidence, results):
    mine = evidence[0].of("lora")[0]
    moved = replace(mine, provenance=mine.provenance | {"versions": {"torch": "3"}, "device": "a GPU"})
    moved.save(results / "runs" / mine.experiment.key / "result.json")
    text, code = check_results(every(evidence), results, [])
    assert code == 0 and "torch: 2 in what is published, 3 here." in text and "a GPU here" in text


def test_mixed_results_are_refused(evidence, tmp_path):
    (first, *rest), *_ = [track.of("lora") for track in evidence]
    check_one([replace(first, experiment=first.experiment.but(profile="smoke")), *rest])
    for changes, named in (
        ({"recipe": 1}, "training version: 1, 2"), ({"data": "e"}, "data: d, e"), ({"weights": "v"}, "weights: v, w"),
        ({"protocol": "p"}, f"protocol: {HASH}, p"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=named):
            check_one([replace(first, provenance=first.provenance | changes), *rest])
    mixed = [replace(evidence[0], comparison=[replace(first, provenance={"recipe": 1}), *evidence[0].comparison[1:]])]
    with pytest.raises(ValueError, match="cannot be compared"):
        write_report(mixed, tmp_path)


def test_a_missing_seed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="make study"):
        gather(load_profile("study"), one_by_one(recorded(tmp_path)))


def test_another_experiments_result_in_its_place_is_refused(evidence, results):
    mine, another = evidence[0].of("lora")[:2]
    another.save(results / "runs" / mine.experiment.key / "result.json")
    with pytest.raises(ValueError, match=mine.experiment.key):
        recorded(results)(mine.experiment)
    with pytest.raises(ValueError, match=mine.experiment.key):
        check_results(every(evidence), results, [])


@pytest.mark.slow
def test_a_study_of_a_small_test_is_under_a_banner_and_judges_nothing(evidence):
    small = [replace(r, experiment=r.experiment.but(test_size=99)) for r in evidence[0].comparison]
    ranks = [replace(r, experiment=r.experiment.but(test_size=99)) for r in evidence[0].ranks]
    text = to_markdown(report([replace(evidence[0], comparison=small, ranks=ranks)]))
    assert "Too few test examples" in text.split("\n\n")[1]
    judged = text.replace(claims_note(), "")
    assert "confirmed" not in judged and "refuted" not in judged and "not judged" in judged
