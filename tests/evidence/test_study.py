from dataclasses import replace

import pytest

from loralab.evidence.protocol import at_rate, other_methods, rates_tried, scale_comparison, target_comparison
from loralab.evidence.study import Sweep, beyond, gather, sweep, tuned
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
    assert len(asked) == 6 and found.extended and found.at_edge and found.best == pytest.approx(2e-4)
    run, asked = landscape(lambda rate: abs(rate - 2e-4))
    found = sweep(study, "full", run)
    assert len(asked) == 6 and found.extended and found.at_edge  # the loss still fell at the last rate tried


def test_a_rate_at_which_training_diverges_is_said_and_left_out_of_its_sweep(study, landscape, capsys):
    trained, _ = landscape(lambda rate: 1 / rate)
    least = 0.0

    def run(experiment):
        if experiment.learning_rate > least:
            raise FloatingPointError(f"diverged at {experiment.learning_rate}")
        return trained(experiment)

    with pytest.raises(ValueError, match=r"full fine-tuning.* 6\.25e-6, 1\.25e-5, .*lower"):
        sweep(study, "full", run)
    least = 3e-5
    found = sweep(study, "full", run)
    assert found.best == 2.5e-5 and list(found.losses) == [6.25e-6, 1.25e-5, 2.5e-5]
    assert "diverged at 5e-05" in capsys.readouterr().out


def test_a_sweep_sees_neither_the_test_nor_the_comparisons_seeds(study):
    for track in (study, study.generation):
        for method in track.sweep:
            for experiment in rates_tried(track, method):
                assert not experiment.examined and experiment.seed not in track.seeds


def test_the_sweeps_of_what_is_compared_are_of_one_size(study):
    for track, methods in ((study, ("head", "full", "lora")), (study.generation, ("full", "lora"))):
        assert len({len(track.sweep[method]) for method in methods}) == 1


def test_each_method_is_compared_at_its_own_best_rate(study, landscape):
    run, asked = landscape(lambda rate: rate)
    evidence = gather(study, run)
    best = {found.method: found.best for found in evidence.sweeps}
    assert set(best) == {"full", "lora", "head", "ia3", "prompt", "prefix"}
    for experiment in (e for e in asked if e.examined and e.method in (*study.methods, "full", "lora", "head")):
        assert experiment.learning_rate == best["lora" if experiment.method in LORA_METHODS else experiment.method]
    assert len({e.key for e in asked}) == len(evidence.results)


def test_methods_are_compared_like_with_like(study):
    """Apart from what is compared, everything is the same: data, epochs, batches, precision, seeds."""
    lists = [study.comparison(), study.rank_comparison(), scale_comparison(study), target_comparison(study)]
    lists.append(other_methods(study))
    changed = {"method", "learning_rate", "seed", "rank", "alpha", "target_modules"}
    fields = [{k: v for k, v in vars(e).items() if k not in changed} for listed in lists for e in listed]
    assert all(each == fields[0] for each in fields)
    for experiments in lists[:4]:
        assert {e.seed for e in experiments} in (set(study.seeds), set(study.seeds[:3]))


def test_the_scale_rules_agree_at_the_rank_of_reference(study):
    others = {(e.method, e.rank): e.scale for e in scale_comparison(study)}
    fixed = study.experiment("lora").scale
    assert {r: others["lora", r] for r in (1, 32)} == {1: fixed, 32: fixed}  # proportional
    assert others["rslora", 32] == pytest.approx(fixed * (8 / 32) ** 0.5)
    assert {e.scale for e in study.rank_comparison()} == {16 / r for r in study.ranks}


def test_a_profile_without_sweeps_has_the_lessons_comparisons_alone(landscape):
    cpu = load_profile("cpu")
    run, asked = landscape(lambda rate: rate)
    evidence = gather(cpu, run)
    assert [e.key for e in asked] == [e.key for e in (*cpu.comparison(), *cpu.rank_comparison())]
    assert (evidence.scales, evidence.targets, evidence.others, evidence.sweeps) == ([], [], [], [])


def test_rates_that_were_found_take_the_place_of_the_profiles(study, landscape):
    run, _ = landscape(lambda rate: rate)
    found = Sweep([run(at_rate(study, "full", 3e-5)), run(at_rate(study, "full", 1e-5))], extended=False)
    track = tuned(study, [found])
    assert track.experiment("full").learning_rate == 1e-5
    assert track.experiment("lora").learning_rate == study.experiment("lora").learning_rate
