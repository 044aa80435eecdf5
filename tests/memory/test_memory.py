"""Plans of memory: pieces worked by hand, identities, and steps that are taken for real."""

import json

import pytest
import torch
from measure import measure_apart
from torch.profiler import ProfilerActivity, profile

from loralab.memory.fitting import GPUS, fits
from loralab.memory.measurement import published, size_name
from loralab.memory.planning import largest_batch, plan
from loralab.memory.tracing import PARTS, STATIC, Counter, FourBit, empty_base, step_of
from loralab.profiles import load_profile
from loralab.train.hardware import Device
from loralab.train.models import apply_method, configuration
from loralab.train.objectives import class_loss
from loralab.train.peak import profiled_peak, static_bytes

CPU = Device("cpu", "2 × CPU", 24 * 2**30)
T4 = Device("cuda", "T4", 15 * 2**30, (7, 5))
A100 = Device("cuda", "A100", 40 * 2**30, (8, 0))
WIDTH, LAYERS, VOCABULARY = 384, 6, 49_152  # MiniLM's, MiniLM's, SmolLM2's


def static(experiment, device=CPU):
    return sum(plan(experiment, device, 1, 4).static.values())


def test_what_is_there_beside_activations_worked_by_hand(smoke):
    lora = smoke.generation.experiment("lora")
    frequencies = 4 * 32 * 2  # of rotary positions: half a head's 64, kept twice
    assert static(lora.but(method="full")) == pytest.approx(16 * 134_515_008 + frequencies, abs=4 * 300)
    assert static(lora) == pytest.approx(4 * 134_515_008 + 16 * 4_884_480 + frequencies, abs=4 * 500)


@pytest.mark.slow
def test_what_gemma_needs_beside_activations_worked_by_hand():
    gemma = load_profile("smoke").generation.experiment("lora", model="gemma-3-4b", weights="bf16")
    assert static(gemma, A100) == pytest.approx(2 * 4.300e9 + 16 * 29_802_496, rel=1e-3)
    # the embeddings, 262,208 × 2,560, in fp32 and the rest in 4.127 bits
    embedded = 262_208 * 2_560
    expected = 4 * embedded + 4.127 / 8 * (4.300e9 - embedded) + 16 * 29_802_496
    assert static(gemma.but(weights="nf4"), T4) == pytest.approx(expected, rel=0.01)
    # What sees images has weights, but neither gradients nor averages.
    full = gemma.but(weights="fp32", method="full")
    assert static(full, A100) == pytest.approx(4 * 4.300e9 + 12 * 3.880e9, rel=1e-3)


@pytest.mark.parametrize(("device", "mask"), [(CPU, 4), (T4, 1)])
def test_dropout_before_the_adapters_worked_by_hand(smoke, device, mask):
    """Query and value then keep a masked input each, and a mask, instead of sharing theirs; the first layer's input,
    which comes from frozen embeddings, needs no gradient and so no mask."""
    lora, rows, length = smoke.experiment("lora"), 16, 64
    without, with_it = (
        plan(lora.but(dropout=dropout), device, rows, length).parts["activations"] for dropout in (0, 0.1)
    )
    a_layer, first = 2 * (4 + mask) - 4, 2 * 4 - 4
    expected = rows * length * WIDTH * ((LAYERS - 1) * a_layer + first)
    in_work = rows * length * WIDTH * a_layer  # of the one layer that is in work at the fullest moment
    assert with_it - without == pytest.approx(expected, abs=in_work)


def test_logits_worked_by_hand(smoke):
    planned = plan(smoke.generation.experiment("lora"), CPU, 4, 128)
    # Themselves, their softmax's logarithm, and the gradient, in fp32; the last token has no next one.
    assert planned.parts["logits"] == pytest.approx(3 * 4 * 4 * 128 * VOCABULARY, rel=0.01)


def test_checkpointing_keeps_less(smoke):
    lora = smoke.generation.experiment("lora")
    kept, again = (lora.but(activation_checkpointing=on) for on in (False, True))
    assert plan(again, CPU, 4, 128).parts["activations"] < plan(kept, CPU, 4, 128).parts["activations"] / 5


def test_accumulated_gradients_are_there_from_the_start(smoke):
    full = smoke.experiment("full")
    one, two = (plan(full.but(gradient_accumulation_steps=steps), CPU, 16, 64) for steps in (1, 2))
    assert two.parts["gradients"] == two.static["gradients"] == one.static["gradients"]
    assert one.parts["gradients"] < one.static["gradients"] / 10 and two.peak > one.peak


def test_half_precision_keeps_less_of_activations_and_as_much_of_the_rest(smoke):
    full = smoke.experiment("full")
    exact, mixed = (plan(full.but(precision=precision), T4, 16, 128) for precision in ("fp32", "fp16"))
    assert mixed.static == exact.static
    assert 0.5 < mixed.parts["activations"] / exact.parts["activations"] < 0.8


@pytest.mark.parametrize("method", ["full", "lora", "head"])
@pytest.mark.parametrize("device", [CPU, T4])
def test_the_largest_batch_fits_and_one_more_does_not(smoke, method, device):
    experiment, memory = smoke.experiment(method, max_length=64), 2**30
    rows = largest_batch(experiment, device, memory)
    assert plan(experiment, device, rows).peak <= memory < plan(experiment, device, rows + 1).peak


def test_no_batch_fits_where_the_weights_do_not(smoke):
    assert largest_batch(smoke.experiment("lora"), CPU, 2**20) == 0


def test_a_method_that_trains_nothing_has_no_plan(smoke):
    with pytest.raises(ValueError, match="tfidf trains nothing"):
        plan(smoke.experiment("tfidf"), CPU)


def test_a_file_that_is_no_configuration_is_named(tmp_path):
    path = tmp_path / "config.json"
    for text in ("{", '{"model_type": "none"}', "[]", '{"model_type": "bert", "hidden_size": "64"}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"config\.json is not the configuration"):
            configuration(str(path))


def test_any_configuration_can_be_planned(smoke, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
                                "intermediate_size": 64, "num_attention_heads": 4}))  # fmt: skip
    experiment = smoke.generation.experiment("full", model=str(path))
    layer = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32
    assert static(experiment) == pytest.approx(16 * (2 * 100 * 32 + 2 * layer + 32), abs=500)


def test_4_bits_are_unpacked_to_fp32():
    """As `load_for` asks of bitsandbytes: in a 16-bit step too, where the product's other side is 16 bits."""
    layer, x = FourBit(64, 128, bias=False), torch.ones(1, 64, dtype=torch.bfloat16, requires_grad=True)
    counter = Counter(vocabulary=0)
    with counter:
        y = layer(x)
        y.sum().backward()
    assert y.dtype == x.grad.dtype == torch.bfloat16
    most = max(map(sum, counter.moments))
    assert 4 * 64 * 128 <= most < 4 * 64 * 128 + 4096


@pytest.mark.slow
def test_a_step_takes_what_was_planned():
    was = next(size.plan for size in published() if size.plan.experiment.dropout)
    size = measure_apart(was.experiment, was.rows, was.length)
    assert size.ratio == pytest.approx(1, abs=0.02)
    assert sum(size.plan.static.values()) == pytest.approx(size.static, rel=0.01)
    assert size.seconds > 0 and set(size.plan.parts) == set(PARTS) and set(size.plan.static) == set(STATIC)


@pytest.mark.slow
def test_a_step_under_autocast_takes_what_was_planned(smoke):
    """Trainer has no autocast on a CPU; torch has, with the same rules for what is cast and kept."""
    experiment, rows, length = smoke.experiment("lora"), 16, 64
    planned = step_of(experiment.but(precision="bf16"), CPU, rows, length).sum(axis=1).max()
    torch.manual_seed(0)
    model = apply_method(empty_base(experiment), experiment).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    ids = torch.randint(5, 1000, (rows, length))
    mask = torch.ones_like(ids)
    mask[-1, -1] = 0
    labels = torch.zeros(rows, dtype=torch.long)

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model(input_ids=ids, attention_mask=mask)
        loss = class_loss(outputs, labels, torch.tensor(rows))
        del outputs
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    kept = static_bytes(model, optimizer)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    assert planned == pytest.approx(kept + profiled_peak(profiler), rel=0.05)


def test_the_published_sizes_are_within_what_the_course_promises():
    sizes = published()
    assert len(sizes) >= 24
    assert {size.plan.experiment.model for size in sizes} >= {
        "minilm-l6",
        "distilbert-base-uncased",
        "bert-base-uncased",
        "smollm2-135m",
        "gemma-3-270m",
    }
    for size in sizes:
        assert sum(size.plan.static.values()) == pytest.approx(size.static, rel=0.1), size_name(size)
        assert abs(size.ratio - 1) < 0.2, size_name(size)


def test_the_published_plans_are_this_codes():
    for was in (size.plan for size in published()):
        if was.experiment.model == "minilm-l6":  # the others take longer
            assert plan(was.experiment, was.device, was.rows, was.length) == was


@pytest.mark.slow
def test_gemma_on_a_t4_by_plan():
    """The original's model: full fine-tuning needs more than any single GPU of 40 GB, QLoRA fits a T4."""
    large = load_profile("large").generation
    assert plan(large.experiment("full"), A100).peak > A100.memory
    assert plan(large.variant("t4"), T4).peak < 0.9 * T4.memory


def test_full_fine_tuning_of_the_t4s_profile_fits_a_t4():
    experiment = load_profile("t4").generation.experiment("full")
    assert (experiment.batch_size, experiment.max_length) == (4, 256)
    planned = plan(experiment, GPUS[0])
    # Weights and AdamW's averages of 494,032,768 parameters; the logits of 4 × 256 tokens and their gradient.
    assert planned.peak > 12 * 494_032_768 + 8 * 4 * 256 * 151_936
    assert fits(planned)
