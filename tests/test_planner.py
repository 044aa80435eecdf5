"""Whether experiments fit: decisions as tables, what is said, and that nothing is loaded before."""

import json

import pytest

import loralab.runner
from loralab.__main__ import main
from loralab.fitting import GPUS, ROOM, able, changes, check_fits, fits
from loralab.hardware import Device
from loralab.memory import plan
from loralab.messages import set_language
from loralab.planner import rates_on, wanted
from loralab.profiles import load_profile
from loralab.runner import run

T4, L4, A100, A100_80, H100 = GPUS
CPU = Device("cpu", "2 × CPU", 24 * 2**30)


@pytest.fixture(scope="module")
def gemma():
    return load_profile("large").generation


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A language model whose steps are planned at once: its configuration, a full and a LoRA experiment."""
    path = tmp_path_factory.mktemp("tiny") / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 2,
                                "intermediate_size": 128, "num_attention_heads": 4}))  # fmt: skip
    return load_profile("cpu").generation.experiment("full", model=str(path))


def gpu_of(size):
    """A GPU like a T4 with room for so many bytes."""
    return Device("cuda", "small", int(size / ROOM), (7, 5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "method", "fitting"),
    [
        ("fp32", "full", {A100_80, H100}),
        ("fp32", "lora", {L4, A100, A100_80, H100}),
        ("bf16", "lora", {L4, A100, A100_80, H100}),
        ("nf4", "lora", {T4, L4, A100, A100_80, H100}),
    ],
)
def test_the_gpus_that_gemma_fits_one_example_at_a_time(gemma, weights, method, fitting):
    experiment = gemma.experiment(method, weights=weights, batch_size=1)
    assert {gpu for gpu in GPUS if able(experiment, gpu) and fits(plan(experiment, gpu))} == fitting


def test_what_a_device_cannot_compute(gemma):
    lora = gemma.experiment("lora", precision="auto")
    assert not able(lora, T4) and able(lora, L4)  # bf16
    assert able(lora.but(weights="nf4"), T4) and not able(lora.but(weights="nf4"), CPU)
    assert not able(lora.but(weights="fp32", precision="fp16"), CPU)
    assert able(load_profile("t4").experiment("full"), T4)


def test_changes_take_less_and_say_so(tiny):
    planned = plan(tiny, gpu_of(2**20))
    found = changes(planned)
    assert all(change.plan.peak < planned.peak for change in found)
    fields = ["batch_size=1", "activation_checkpointing=true", "precision=auto", "method=lora", "max_length=128"]
    for field, change in zip(fields, found, strict=True):
        assert f"`{field}`" in change.text
    methods = [change.plan.experiment.method for change in found]
    assert methods.count("lora") == 1 and methods.count("full") == len(found) - 1
    adapted = changes(plan(tiny.but(method="lora"), gpu_of(2**20)))
    # A T4 has no bf16 units; what LoRA leaves frozen can be held in 4 bits.
    assert [c.plan.experiment.weights for c in adapted if c.plan.experiment.weights != "fp32"] == ["nf4"]


def test_a_smaller_batch_is_the_largest_that_fits(tiny):
    one, four = (plan(tiny.but(gradient_accumulation_steps=2), T4, rows).peak for rows in (1, 4))
    device = gpu_of((2 * one + four) / 3 + (four - one) / 3)  # of about 3 rows
    planned = plan(tiny.but(batch_size=16), device)
    assert not fits(planned)
    smaller = next(change.plan for change in changes(planned) if change.plan.rows < 16)
    assert fits(smaller) and not fits(plan(smaller.experiment, device, 2 * smaller.rows))
    assert smaller.experiment.batch_size * smaller.experiment.gradient_accumulation_steps == 16


@pytest.mark.parametrize("language", ["es", "en"])
def test_what_cannot_fit_is_refused_with_what_to_change(tiny, smoke, language):
    set_language(language)
    small = Device("cpu", "2 × CPU", 2**20)
    with pytest.raises(ValueError, match="max_length") as told:
        check_fits(tiny, small)
    for part in ("config.json", "method=lora", "activation_checkpointing=true", "GiB"):
        assert part in str(told.value)
    check_fits(tiny, CPU)
    check_fits(tiny, Device("cpu", "CPU", 0))  # it does not say how much it has
    check_fits(smoke.experiment("tfidf"), small)


def test_an_experiment_that_cannot_fit_is_refused_before_anything_is_loaded(smoke, results, monkeypatch):
    monkeypatch.setattr(loralab.runner, "detect", lambda: Device("cpu", "2 × CPU", 2**28))
    for name in ("train", "run_baseline"):
        monkeypatch.setattr(loralab.runner, name, None)
    with pytest.raises(ValueError, match="does not fit"):
        run(smoke.experiment("full"))


def test_a_profile_is_planned_once_for_each_size():
    experiments = wanted(load_profile("study"), [])
    assert len({experiment.but(seed=0).key for experiment in experiments}) == len(experiments)
    assert {experiment.method for experiment in experiments} == {"full", "lora", "head"}
    # The comparison, other ranks and other sizes of batch: the variants, of the generation track.
    assert {experiment.rank for experiment in experiments if experiment.method == "lora"} == {1, 4, 8, 16, 32}
    assert {(experiment.batch_size, experiment.max_length) for experiment in experiments} == {
        (16, 128),
        (4, 256),
        (8, 512),
    }


def test_an_experiment_is_named_by_its_fields(smoke):
    pairs = ["task=generation", "method=lora", "rank=4", "dropout=0.1", "activation_checkpointing=true"]
    (experiment,) = wanted(smoke, [*pairs, "target_modules=q_proj,v_proj", "max_length=512"])
    expected = smoke.generation.experiment(
        "lora", rank=4, dropout=0.1, activation_checkpointing=True, target_modules=("q_proj", "v_proj"), max_length=512
    )
    assert experiment == expected
    assert wanted(smoke, ["max_length=none"])[0].max_length is None


@pytest.mark.parametrize("pair", ["rank", "rank=", "size=3", "=3"])
def test_a_pair_that_is_none_is_named(smoke, pair):
    with pytest.raises(ValueError, match="is not field=value"):
        wanted(smoke, [pair])


@pytest.mark.parametrize(("language", "heading"), [("es", "activaciones"), ("en", "activations")])
def test_the_command_in_both_languages(language, heading, capsys):
    assert main(["plan", "method=full", "batch_size=4096", "--language", language]) == 0
    said = capsys.readouterr().out
    assert heading in said and "A100 80 GB" in said and "batch_size=" in said


def test_the_command_as_json(capsys):
    assert main(["plan", "method=lora", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert [row["device"] for row in one["devices"]][1:] == [gpu.name for gpu in GPUS]
    row = one["devices"][1]
    assert row["peak"] == row["weights"] + row["gradients"] + row["optimizer"] + row["activations"] + row["logits"]
    assert row["fits"] is True and row["largest_batch"] > 16


def test_the_command_says_what_is_wrong(capsys):
    assert main(["plan", "model=nothing"]) == 1
    assert "model cannot be 'nothing'" in capsys.readouterr().err


def test_steps_can_be_measured_instead(capsys):
    assert main(["plan", "--measure", "method=lora", "batch_size=2", "max_length=16"]) == 0
    assert "2 × 16 tokens" in (said := capsys.readouterr().out) and "measured (profiler)" in said


def test_what_this_machine_cannot_train_is_not_measured(capsys):
    assert main(["plan", "--measure", "method=lora", "task=generation", "weights=nf4"]) == 1
    assert "bitsandbytes" in capsys.readouterr().err


def test_a_gpu_of_another_name_is_not_timed_as_a_cpu(smoke):
    (experiment,) = wanted(smoke, ["method=head"])
    named = Device("cuda", "Tesla T4", T4.memory, T4.capability)
    assert rates_on(plan(experiment, named)) is None
    assert rates_on(plan(experiment, T4)) and rates_on(plan(experiment, CPU))


def test_texts_longer_than_the_model_takes_are_left_to_those_who_encode_them(smoke):
    check_fits(smoke.experiment("full", max_length=1024), CPU)


def test_dora_over_4_bits_can_be_planned(tiny):
    lora, dora = (plan(tiny.but(method=method, weights="nf4"), T4).peak for method in ("lora", "dora"))
    assert dora >= lora
