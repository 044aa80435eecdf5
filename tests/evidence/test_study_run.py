"""A small study, really run: two at a time, with a rate at which training diverges, resumed, and read again."""

import json
from dataclasses import replace

import pytest
from run_study import race, run_study

from loralab.evidence.protocol import HASH, STUDY
from loralab.evidence.study import DIVERGED, check_one, gather, recorded, with_measured
from loralab.evidence.sweeps import one_by_one
from loralab.experiment import seal
from loralab.profiles import load_profile
from loralab.train.run import run, run_folder

DIVERGES = 1e30


@pytest.fixture
def small():
    study = load_profile(STUDY)
    sizes = {"train_size": 32, "validation_size": 8, "test_size": 8, "epochs": 1}
    answers = {"train_size": 2, "validation_size": 1, "test_size": 2, "batch_size": 2, "max_new_tokens": 4}
    less = {"seeds": (0, 1), "methods": (), "targets": {}}
    generation = replace(
        study.generation, settings=study.generation.settings | answers, ranks=(16,), **less,
        sweep={"full": (1e-4,), "lora": (2e-3,)},
    )  # fmt: skip
    return replace(
        study, settings=study.settings | sizes, ranks=(1, 8), generation=generation, **less,
        sweep={"full": (2.5e-5, 5e-5), "lora": (5e-4, DIVERGES), "head": (1e-3,)},
    )  # fmt: skip


@pytest.mark.slow
def test_it_is_run_resumed_and_read_again(small, results, monkeypatch, capsys):
    monkeypatch.setattr("run_study.peaks", lambda e, device, rows, length: [100 + e.rank] * len(rows))
    monkeypatch.setattr("run_study.race", lambda timed: race(timed, rounds=2))
    found = run_study(small)
    classes, answers = found
    assert {r.provenance["protocol"] for track in found for r in track.results} == {HASH}
    assert {r.provenance["threads"] for track in found for r in track.results} == {1}
    diverged = [path.parent.name for path in results.glob(f"runs/*/{DIVERGED}")]
    assert len(diverged) == 2 and all(name.startswith("lora-r") for name in diverged)  # at both ranks
    lora = next(sweep for sweep in classes.sweeps if sweep.method == "lora")
    assert (list(lora.losses), lora.extended) == ([5e-4], False)
    assert {"full", "lora", "r = 1"} == set(classes.timing.seconds) and len(classes.updates) == 2 * 12
    assert classes.planned[0] == {"place": "r = 1", "rows": 1, "length": 16, "full": 108, "lora": 101}

    def read_again():
        tracks = (small, small.generation)
        return [with_measured(gather(t, one_by_one(recorded(results))), results / STUDY) for t in tracks]

    assert read_again() == found
    check_one(classes.results, HASH)
    # The results are there and the weights are not, as on another machine: those pairs alone are run again.
    pair = classes.of("full")[0].experiment
    dates = {r.experiment.key: r.provenance["date"] for r in classes.results}
    for weights in run_folder(pair).rglob("*.safetensors"):
        weights.unlink()
    (results / STUDY / "measured-classification.json").unlink()
    again = run_study(small)[0]
    assert [r.test for r in again.results] == [r.test for r in classes.results]
    now = {r.experiment.key: recorded(results)(r.experiment).provenance["date"] for r in classes.results}
    assert [key for key, date in dates.items() if now[key] != date] == [pair.key]
    # A result of another protocol is set aside.
    path = results / "runs" / answers.of("lora")[0].experiment.key / "result.json"
    content = json.loads(path.read_text())
    content["provenance"]["protocol"] = "another"
    del content["seal"]
    path.write_text(json.dumps(content | {"seal": seal(content)}))
    run(answers.of("lora")[0].experiment, notes={"protocol": HASH})
    assert "the study's protocol" in capsys.readouterr().out.replace("’", "'")
