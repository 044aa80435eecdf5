"""Whether experiments fit: decisions as tables, what is said, and that nothing is loaded before."""

import json

import measure
import pytest

from loralab.__main__ import main
from loralab.memory.fitting import GPUS, ROOM, changes, changes_text, fits, supports, title
from loralab.memory.planning import largest_batch, plan
from loralab.planner import as_text, to_plan
from loralab.profiles import load_profile
from loralab.train.hardware import Device

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
    assert {gpu for gpu in GPUS if supports(experiment, gpu) and fits(plan(experiment, gpu))} == fitting


def test_what_a_device_cannot_compute(gemma):
    lora = gemma.experiment("lora", precision="auto")
    assert not supports(lora, T4) and supports(lora, L4)  # bf16
    assert supports(lora.but(weights="nf4"), T4) and not supports(lora.but(weights="nf4"), CPU)
    assert not supports(lora.but(weights="fp32", precision="fp16"), CPU)
    assert supports(load_profile("t4").experiment("full"), T4)


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
    prefixed = changes(plan(tiny.but(method="prefix"), gpu_of(2**20)))
    assert prefixed and not any(change.plan.experiment.activation_checkpointing for change in prefixed)
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


def test_a_batch_is_no_larger_than_the_data(tiny):
    small = tiny.but(batch_size=4096)
    assert plan(small, CPU).rows == 96 and plan(small.but(train_size=2), CPU).peak == plan(tiny, CPU, 2).peak


def test_where_memory_or_length_is_not_known(tiny):
    unknown, uncut = Device("cpu", "CPU", 0), tiny.but(max_length=None)
    here = plan(tiny, unknown)
    assert fits(here) is None and here.peak > 0
    assert "at least" in title(plan(uncut, T4)) and "at least" not in title(plan(tiny, T4))
    rows = [next(line for line in next(as_text([one])).splitlines() if " T4 " in line).split() for one in (uncut, tiny)]
    assert rows[0][-1] == "–" and int(rows[1][-1].replace(",", "")) > 16


def test_the_largest_batch_is_of_the_devices_precision_and_the_models_length(smoke):
    asked, meant = smoke.experiment("head", max_length=1024, precision="auto"), smoke.experiment("head", max_length=512)
    assert largest_batch(asked, T4, 2**30) == largest_batch(meant.but(precision="fp16"), T4, 2**30)
    assert largest_batch(asked, T4, 2**30) > largest_batch(meant.but(precision="fp32"), T4, 2**30)


def test_a_model_whose_step_depends_on_its_values_is_named(tmp_path, tiny, capsys):
    path = tmp_path / "experts.json"
    path.write_text(json.dumps({"model_type": "mixtral", "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 1,
                                "intermediate_size": 32, "num_attention_heads": 4}))  # fmt: skip
    experiment = tiny.but(model=str(path))
    with pytest.raises(ValueError, match=r"cannot take the step of experts\.json"):
        plan(experiment, T4)
    assert main(["plan", "task=generation", "method=full", f"model={path}"]) == 1
    assert "cannot take the step" in capsys.readouterr().err


def test_a_profile_is_planned_once_for_each_size():
    experiments = to_plan(load_profile("study"), [])
    assert len({experiment.but(seed=0).key for experiment in experiments}) == len(experiments)
    # The comparison, other ranks, modules and methods, and other sizes of batch: the variants, of the generation track.
    assert {experiment.method for experiment in experiments} == {
        *("full", "lora", "head", "rslora", "dora", "pissa", "ia3", "prompt", "prefix")
    }
    assert {experiment.rank for experiment in experiments if experiment.method == "lora"} == {1, 4, 8, 16, 32}
    assert len({experiment.target_modules for experiment in experiments}) > 1
    assert {(experiment.batch_size, experiment.max_length) for experiment in experiments} == {
        (16, 128),
        (4, 256),
        (8, 512),
    }


def test_another_architecture_is_planned_without_the_changes_that_it_does_not_take(tmp_path, tiny):
    """A GPT-2's modules are peft's own choice; nothing to change where only the head is trained, text by text."""
    path = tmp_path / "gpt2.json"
    path.write_text(json.dumps({"model_type": "gpt2", "vocab_size": 100, "n_embd": 64, "n_layer": 2, "n_head": 4}))
    found = changes(plan(tiny.but(model=str(path)), gpu_of(2**20)))
    assert {change.plan.experiment.method for change in found} == {"full", "lora"} and len(found) >= 3
    head = plan(load_profile("cpu").experiment("head", batch_size=1, max_length=1), Device("cpu", "CPU", 2**20))
    assert "use a smaller model" in changes_text(changes(head), head)


def test_a_model_without_fused_attention_is_planned(tmp_path):
    path = tmp_path / "deberta.json"
    sizes = {"vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    path.write_text(json.dumps({"model_type": "deberta-v2", **sizes}))
    assert plan(load_profile("cpu").experiment("full", model=str(path)), T4).parts["activations"] > 0


def test_an_experiment_is_named_by_its_fields(smoke):
    pairs = ["task=generation", "method=lora", "rank=4", "dropout=0.1", "activation_checkpointing=true"]
    (experiment,) = to_plan(smoke, [*pairs, "target_modules=q_proj,v_proj", "max_length=512"])
    expected = smoke.generation.experiment(
        "lora", rank=4, dropout=0.1, activation_checkpointing=True, target_modules=("q_proj", "v_proj"), max_length=512
    )
    assert experiment == expected
    assert to_plan(smoke, ["max_length=none"])[0].max_length is None


@pytest.mark.parametrize("pair", ["rank", "rank=", "size=3", "=3"])
def test_a_pair_that_is_none_is_named(smoke, pair):
    with pytest.raises(ValueError, match="is not field=value"):
        to_plan(smoke, [pair])


@pytest.mark.parametrize(("language", "heading"), [("es", "activaciones"), ("en", "activations")])
def test_the_command_in_both_languages(language, heading, capsys, tiny):
    asked = ["task=generation", "method=full", f"model={tiny.model}", "train_size=65536", "batch_size=65536"]
    assert main(["plan", *asked, "--language", language]) == 0
    said = capsys.readouterr().out
    assert heading in said and "A100 80 GB" in said and "batch_size=" in said


def test_the_command_says_what_is_wrong(capsys):
    assert main(["plan", "model=nothing"]) == 1
    assert "model cannot be 'nothing'" in capsys.readouterr().err


def test_a_step_that_the_system_ended_is_named(smoke, tmp_path, monkeypatch):
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(measure.sys, "executable", str(killed))
    with pytest.raises(ValueError, match="could not be measured: Killed"):
        measure.measure_apart(smoke.experiment("full"), 16, 64)


def test_dora_over_4_bits_is_planned_as_lora(tiny):
    lora, dora = (plan(tiny.but(method=method, weights="nf4"), T4).peak for method in ("lora", "dora"))
    assert dora == lora < plan(tiny.but(method="lora"), T4).peak


def test_an_encoders_weights_are_in_fp32_whatever_is_asked(smoke):
    """As training loads them: a classifier does not read `weights`."""
    lora = smoke.experiment("lora")
    assert plan(lora.but(weights="bf16"), A100) == plan(lora, A100)
    assert largest_batch(lora.but(weights="bf16"), A100, 2**30) == largest_batch(lora, A100, 2**30)
