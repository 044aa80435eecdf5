import pytest

from loralab.assets import asset
from loralab.profiles import load_profile


def test_an_unknown_profile_names_the_choices():
    with pytest.raises(ValueError, match="smoke, cpu, t4"):
        load_profile("gpu")


@pytest.mark.parametrize("name", ["smoke", "cpu", "t4"])
def test_a_profile_runs_what_exists(name):
    profile = load_profile(name)
    for experiment in (*profile.comparison(), *profile.rank_comparison()):
        assert experiment.profile == name
        assert asset("dataset", experiment.dataset) and asset("model", experiment.model)


def test_lessons_5_and_6_share_a_run():
    cpu = load_profile("cpu")
    assert set(cpu.comparison()) & set(cpu.rank_comparison())


def test_each_method_has_its_own_learning_rate():
    cpu = load_profile("cpu")
    assert cpu.experiment("lora").learning_rate == cpu.learning_rates["lora"]
    assert cpu.experiment("full").learning_rate == cpu.learning_rates["full"]
    assert cpu.experiment("lora", learning_rate=0.5).learning_rate == 0.5


def test_embedded_profiles_train_in_fp32():
    assert load_profile("smoke").experiment("lora").precision == "fp32"
    assert load_profile("cpu").experiment("full").precision == "fp32"
