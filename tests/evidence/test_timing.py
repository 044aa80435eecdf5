from dataclasses import replace

import pytest
from run_study import race, spread_batches, step_operations
from torch.utils.flop_counter import FlopCounterMode

from loralab.evidence.timing import steps_to, target_loss
from loralab.train.models import apply_method, load_for


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("track", ["classification", pytest.param("generation", marks=pytest.mark.slow)])
def test_torchs_counter_and_the_formula_agree(smoke, track, method):
    of = smoke if track == "classification" else smoke.generation
    experiment = of.experiment(method)
    model = apply_method(load_for(experiment), experiment)
    (batch,) = spread_batches(experiment, 1)
    model.set_attn_implementation("eager")  # the counter does not know a CPU's fused attention
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    # The first layer's frozen matrices read what needs no gradient: 2 % of LoRA's operations on MiniLM.
    assert step_operations(model, batch) == pytest.approx(counter.get_total_flops(), rel=0.025)


def test_operations_of_minilm_by_hand(smoke):
    """Per layer 4·384² + 2·384·1,536 weights; 16 texts of L tokens; the pooler and the head see one token a text."""
    experiment = smoke.experiment("full")
    (batch,) = spread_batches(experiment, 1)
    rows, length = batch["input_ids"].shape
    weights = 6 * (4 * 384**2 + 2 * 384 * 1536)
    expected = 6 * rows * (length * weights + 384**2 + 2 * 384) + 12 * rows * length**2 * 384 * 6
    assert step_operations(load_for(experiment), batch) == expected


def test_batches_go_from_short_to_long(smoke):
    widths = [batch["input_ids"].shape[1] for batch in spread_batches(smoke.experiment("lora"), 4)]
    assert widths == sorted(widths) and widths[0] < widths[-1]


def test_a_race_is_in_turns_on_the_same_batches(smoke):
    """Other methods and places run in the same rounds."""
    track = replace(smoke, settings={**smoke.settings, "batch_size": 4})
    names = ("full", "lora", "dora", "prompt")
    timing = race({name: track.experiment(name) for name in names} | {"r = 4": track.experiment("lora", rank=4)}, 3)
    assert len(timing.over("full", "r = 4")) == 3
    names = (*names, "r = 4")
    assert {name: len(taken) for name, taken in timing.seconds.items()} == dict.fromkeys(names, 3)
    real = [int(batch["attention_mask"].sum()) for batch in spread_batches(track.experiment("lora"), 3)]
    assert timing.tokens == real == sorted(real)
    assert len(timing.ratios) == 3 and min(timing.ratios) > 0
    # LoRA is spared the gradients of the frozen weights: a third of the operations, less what the adapters add.
    assert 1.3 < timing.expected["full"] / timing.expected["lora"] < 1.52
    assert set(timing.expected) == {"full", "lora"}
    pairs = zip(timing.seconds["dora"], timing.seconds["lora"], strict=True)
    assert timing.over("dora", "lora") == [dora / lora for dora, lora in pairs]


def test_steps_to_a_loss_worked_by_hand():
    assert steps_to([4, 3, 2, 1, 1], target=2.0, window=3) == 4  # means 3, 2, 4/3: the second ends at step 4
    with pytest.raises(ValueError, match=r"1\.000.*1\.333"):
        steps_to([4, 3, 2, 1, 1], target=1.0, window=3)
    assert steps_to([1, 1, 1], target=1.0, window=1) == 1


def test_every_run_reaches_the_target(make):
    runs = [make("full"), make("lora")]
    target = target_loss(runs[:1], runs[1:], window=10)
    assert all(steps_to(result.loss_by_step, target, 10) for result in runs)
