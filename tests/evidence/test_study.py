from dataclasses import replace

import pytest

from loralab.evidence.protocol import at_rate, other_methods, places, searches, target_comparison
from loralab.evidence.study import gather, tuned
from loralab.evidence.sweeps import Sweep, beyond, one_by_one, sweeps
from loralab.experiment import LORA_METHODS
from loralab.profiles import load_profile


@pytest.fixture
def study():
    return load_profile("study")


@pytest.fixture
def landscape(make):
    """A stand-in for training: validation loss by learning rate as told, and the experiments that were asked for."""

    def runner(loss):
        asked = []

        def run(experiment):
            asked.append(experiment)
            epochs = [{"accuracy": 0.8, "loss": loss(experiment.learning_rate)}]
            return replace(make("lora"), experiment=experiment, epochs=epochs)

        return run, asked

    return runner


def sweep(track, method, run):
    return sweeps({method: searches(track)[method]}, one_by_one(run))[method]


@pytest.mark.parametrize(
    ("losses", "further"),
    [
        ({1.0: 0.3, 2.0: 0.2, 4.0: 0.4}, None),
        ({1.0: 0.1, 2.0: 0.2, 4.0: 0.4}, 0.5),
        ({1.0: 0.3, 2.0: 0.2, 6.0: 0.1}, 18.0),
        ({1.0: 0.3}, None),
    ],
)
def test_a_sweep_goes_on_beyond_the_edge_where_the_best_lies(losses, further):
    assert beyond(losses) == (None if further is None else pytest.approx(further))


def test_an_optimum_inside_needs_no_more(study, landscape):
    run, asked = landscape(lambda rate: abs(rate - 2.5e-5))
    found = sweep(study, "full", run)
    assert (found.best, found.extended, found.at_edge) == (2.5e-5, False, False)
    assert [e.learning_rate for e in asked] == list(study.sweep["full"])


def test_a_sweep_is_extended_once_and_the_edge_is_marked(study, landscape):
    run, asked = landscape(lambda rate: 1 / rate)
    found = sweep(study, "full", run)
    assert len(asked) == 4 and found.extended and found.at_edge and found.best == pytest.approx(1e-4)
    run, asked = landscape(lambda rate: abs(rate - 1e-4))
    found = sweep(study, "full", run)
    assert len(asked) == 4 and found.extended and found.at_edge  # the loss still fell at the last rate tried


def test_a_rate_at_which_training_diverges_is_said_and_left_out_of_its_sweep(study, landscape, capsys):
    trained, _ = landscape(lambda rate: 1 / rate)
    least = 0.0

    def run(experiment):
        if experiment.learning_rate > least:
            raise FloatingPointError(f"diverged at {experiment.learning_rate}")
        return trained(experiment)

    with pytest.raises(ValueError, match=r"full fine-tuning.* 1\.25e-5, 2\.5e-5, .*lower"):
        sweep(study, "full", run)
    least = 3e-5
    found = sweep(study, "full", run)
    assert found.best in (1.25e-5, 2.5e-5) and list(found.losses) == [1.25e-5, 2.5e-5]
    assert "diverged at 5e-05" in capsys.readouterr().out


def test_a_sweep_sees_neither_the_test_nor_the_comparisons_seeds(study):
    for track in (study, study.generation):
        for experiments in searches(track).values():
            for experiment in experiments:
                assert not experiment.examined and experiment.seed not in track.seeds


def test_the_sweeps_of_what_is_compared_are_of_one_size(study):
    for track, methods in ((study, ("head", "full", "lora")), (study.generation, ("full", "lora"))):
        assert len({len(track.sweep[method]) for method in methods}) == 1


def test_each_method_and_place_is_compared_at_its_own_best_rate(study, landscape):
    """Every rank and choice of modules, with the rate that has the lowest loss for it; the others at their method's."""
    run, asked = landscape(lambda rate: rate)
    evidence = gather(study, one_by_one(lambda e: run(e)))
    best = {found.method: found.best for found in evidence.sweeps}
    assert set(best) == {"full", "lora", "head", "ia3", "prompt", "prefix"}
    elsewhere = {found.place: found.best for found in evidence.elsewhere}
    assert set(elsewhere) == {"r = 1", "r = 4", "r = 16", "r = 32", "attention", "all-linear"}
    assert best["lora"] == elsewhere["attention"] == pytest.approx(1.25e-4)  # lower is better here: one beyond the edge
    for experiment in (e for e in asked if e.examined and e.method in (*study.methods, "full", "lora", "head")):
        assert experiment.learning_rate == best["lora" if experiment.method in LORA_METHODS else experiment.method]
    assert len({e.key for e in asked}) == len(evidence.results) == len(asked)
    assert list(evidence.places) == ["r = 1", "r = 4", "r = 8", "r = 16", "r = 32", "attention", "all-linear"]
    assert {len(runs) for runs in evidence.places.values()} == {4}


def test_a_place_keeps_a_rate_of_its_own(study, landscape):
    made, _ = landscape(lambda rate: 0.0)

    def run(experiment):
        best = 1e-3 if experiment.rank == 1 else 5e-4
        loss = abs(experiment.learning_rate - best) if experiment.method == "lora" else experiment.learning_rate
        return replace(made(experiment), epochs=[{"accuracy": 0.8, "loss": loss}])

    evidence = gather(study, one_by_one(run))
    rates = {name: {r.experiment.learning_rate for r in runs} for name, runs in evidence.places.items()}
    assert rates["r = 1"] == {1e-3} and rates["r = 8"] == rates["attention"] == {5e-4}


def test_two_finer_rates_serve_the_ratio_alone(study, landscape):
    run, asked = landscape(lambda rate: abs(rate - 7e-4) if rate > 1e-4 else abs(rate - 3.5e-5))
    evidence = gather(study, one_by_one(run))
    full, lora = evidence.finer
    assert (full.method, lora.method, len(full.results), len(lora.results)) == ("full", "lora", 5, 5)
    assert full.best == pytest.approx(3.525e-5, rel=1e-3) and lora.best == pytest.approx(7.05e-4, rel=1e-3)
    assert evidence.of("full")[0].experiment.learning_rate in study.sweep["full"]
    assert not any(e.examined for e in asked if e.learning_rate in (full.best, lora.best))


def test_a_run_of_the_comparison_that_diverges_ends_the_study(study, landscape):
    trained, _ = landscape(lambda rate: abs(rate - 5e-4))

    def run(experiment):
        if experiment.examined and experiment.seed == 2:
            raise FloatingPointError("no number")
        return trained(experiment)

    with pytest.raises(FloatingPointError, match="no number"):
        gather(study, one_by_one(run))


def test_methods_are_compared_like_with_like(study):
    """Apart from what is compared, everything is the same: data, epochs, batches, precision, seeds."""
    for track in (study, study.generation):
        lists = [track.comparison(), track.rank_comparison(), target_comparison(track), other_methods(track)]
        changed = {"method", "learning_rate", "seed", "rank", "target_modules"}
        fields = [{k: v for k, v in vars(e).items() if k not in changed} for listed in lists for e in listed]
        assert all(each == fields[0] for each in fields)
        for experiments in lists[:3]:
            assert {e.seed for e in experiments} == set(track.seeds)
        assert {e.alpha for listed in lists for e in listed} == {32}


def test_both_tracks_have_the_same_ranks_and_other_modules(study):
    assert study.ranks == study.generation.ranks == (1, 4, 8, 16, 32)
    assert [len(places(track)) for track in (study, study.generation)] == [7, 7]


def test_a_profile_without_sweeps_has_the_lessons_comparisons_alone(landscape):
    cpu = load_profile("cpu")
    run, asked = landscape(lambda rate: rate)
    evidence = gather(cpu, one_by_one(run))
    assert {e.key for e in asked} == {e.key for e in (*cpu.comparison(), *cpu.rank_comparison())}
    assert (evidence.targets, evidence.others, evidence.sweeps, evidence.elsewhere) == ([], [], [], [])


def test_rates_that_were_found_take_the_place_of_the_profiles(study, landscape):
    run, _ = landscape(lambda rate: rate)
    found = Sweep([run(at_rate(study, "full", 3e-5)), run(at_rate(study, "full", 1e-5))], extended=False)
    track = tuned(study, [found])
    assert track.experiment("full").learning_rate == 1e-5
    assert track.experiment("lora").learning_rate == study.experiment("lora").learning_rate
