import pytest

from loralab.data.assets import asset
from loralab.data.splits import load_splits
from loralab.profiles import load_profile


def test_an_unknown_profile_names_the_choices():
    with pytest.raises(ValueError, match="smoke, cpu, t4, large, study"):
        load_profile("gpu")


PROFILES = ["smoke", "cpu", "study", "t4", "large"]


def tracks(name):
    profile = load_profile(name)
    return profile, profile.generation


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_runs_what_exists(name):
    for task, track in zip(("classification", "generation"), tracks(name), strict=True):
        variants = [track.variant(variant) for variant in track.variants]
        for experiment in (*track.comparison(), *track.rank_comparison(), *variants):
            assert experiment.profile == name and experiment.task == track.task == task
            assert asset("dataset", experiment.dataset) and asset("model", experiment.model)
            assert resolvable(experiment)


@pytest.mark.parametrize("name", PROFILES)
def test_there_are_as_many_pairs_as_a_profile_asks_for(name):
    track = load_profile(name).generation
    for experiment in (track.experiment("lora"), *map(track.variant, track.variants)):
        splits = load_splits(experiment)
        assert [len(frame) for _, frame in splits.items()] == [
            experiment.train_size, experiment.validation_size, experiment.test_size
        ]  # fmt: skip


def resolvable(experiment):
    """Whether what is trained is held in fp32, and what is read is a data set of the task."""
    pairs = "-qa" in experiment.dataset
    return pairs == (experiment.task == "generation") and (experiment.weights == "fp32" or experiment.method != "full")


@pytest.mark.parametrize("name", PROFILES)
def test_lessons_5_and_6_share_a_run(name):
    for track in tracks(name):
        shared = {e.key for e in track.comparison()} & {e.key for e in track.rank_comparison()}
        assert name == "smoke" or len(shared) == len(track.seeds)
        assert {e.method for e in track.comparison() if e.key in shared} <= {"lora"}


def test_each_method_has_its_own_learning_rate():
    cpu = load_profile("cpu")
    assert cpu.experiment("lora").learning_rate == cpu.learning_rates["lora"]
    assert cpu.experiment("full").learning_rate == cpu.learning_rates["full"]
    assert cpu.experiment("lora", learning_rate=0.5).learning_rate == 0.5


def test_embedded_profiles_train_in_fp32():
    assert load_profile("smoke").experiment("lora").precision == "fp32"
    assert load_profile("cpu").experiment("full").precision == "fp32"


def test_the_two_tracks_compare_their_own_methods():
    classes, answers = tracks("cpu")
    assert [e.method for e in classes.comparison()[:3]] == ["majority", "tfidf", "frozen"]
    assert [e.method for e in answers.comparison()] == ["retrieval", "base", "few-shot", "full", "lora"]
    assert [(e.method, e.rank) for e in answers.rank_comparison()] == [("lora", 4), ("lora", 8), ("lora", 16)]
    assert {e.alpha for e in answers.rank_comparison()} == {32.0}


def test_the_embedded_profiles_answer_with_what_is_embedded():
    for name in ("smoke", "cpu"):
        experiment = load_profile(name).generation.experiment("lora")
        assert (experiment.model, experiment.dataset, experiment.precision) == ("smollm2-135m", "quixote-qa", "fp32")
        assert (experiment.padding, experiment.loss_on) == ("longest", "answer")


def test_the_large_profile_keeps_frozen_weights_in_bf16_and_trained_ones_in_fp32():
    track = load_profile("large").generation
    held = {e.method: e.weights for e in track.comparison()}
    assert track.experiment("lora").model == "gemma-3-4b" and track.experiment("lora").activation_checkpointing
    assert held["lora"] == held["base"] == held["few-shot"] == "bf16" and held["full"] == "fp32"


@pytest.mark.parametrize("name", PROFILES)
def test_the_original_recipe(name):
    original = load_profile(name).generation.variant("original")
    assert (original.method, original.rank, original.alpha, original.dropout) == ("lora", 16, 32, 0.1)
    assert (original.epochs, original.batch_size, original.learning_rate) == (3, 8, 2e-4)
    assert (original.padding, original.loss_on) == ("max_length", "all")
    assert original.max_length == 512 or (name == "smoke" and original.max_length < 512)


def test_gemma_on_a_t4_is_a_variant():
    t4 = load_profile("large").generation.variant("t4")
    assert (t4.weights, t4.precision, t4.batch_size * t4.gradient_accumulation_steps) == ("nf4", "fp32", 8)


def test_an_unknown_variant_names_the_choices():
    with pytest.raises(ValueError, match=r"'third'. Choose one of: original, quixote, sancho\."):
        load_profile("cpu").generation.variant("third")
    with pytest.raises(ValueError, match="variant cannot be 'original'"):
        load_profile("cpu").variant("original")


def test_profiles_are_read_afresh():
    load_profile("smoke").generation.variants["original"]["epochs"] = 99
    assert load_profile("smoke").generation.variant("original").epochs == 3
