import pytest
import torch
from run_study import updates

from loralab.evidence.figures import captured_by_rank
from loralab.evidence.update import Update
from loralab.train.models import load_trained
from loralab.train.run import run, run_folder

SMALL = {"train_size": 32, "validation_size": 8, "test_size": 8}


@pytest.fixture(scope="module")
def pair(smoke, tmp_path_factory):
    """LoRA's run of a pair, one of each method, the model that it left, and what is inside the updates of both."""
    full, lora = smoke.experiment("full", **SMALL), smoke.experiment("lora", **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORALAB_RESULTS", str(tmp_path_factory.mktemp("pair")))
        for experiment in (full, lora):
            run(experiment)
        return lora, load_trained(lora, run_folder(lora)), updates(full, lora, run_folder)


def update(**changes):
    values = {"layer": "l", "seed": 0, "full": [3.0, 2.0, 1.0], "lora": [1.0], "shared": 0.5, "by_chance": 0.1}
    return Update(**{**values, "similarity": {"full": [0.99, 0.5, 0.59], "lora": [1.0, 0.6, 0.7]}, **changes})


def test_what_a_rank_captures_worked_by_hand():
    """The squares are 9, 4 and 1: one of rank 1 could hold 9/14, and rank 2, with 13/14, is the first with 90 %."""
    found = captured_by_rank([update()]).alt
    assert "rank 1 could hold 64%" in found and "90% takes r = 2" in found and "r=1 64.3%" in found


def test_intruders_are_counted_by_hand():
    assert update().intruders("full") == 2 and update().intruders("lora") == 0


def test_inside_two_real_runs(pair):
    lora, _, found = pair
    assert len(found) == 12 and {each.seed for each in found} == {lora.seed}
    for each in found:
        assert len(each.lora) == lora.rank < len(each.full) == 384
        assert each.full == sorted(each.full, reverse=True) and each.lora == sorted(each.lora, reverse=True)
        assert 0 <= each.shared <= 1 and each.by_chance == 8 / 384
        assert all(0 <= cosine <= 1.00001 for of in each.similarity.values() for cosine in of)


def test_loras_singular_values_are_those_of_the_scaled_product(pair):
    lora, model, found = pair
    layer = model.get_base_model().get_submodule(found[0].layer)
    a, b = (part["default"].weight.double() for part in (layer.lora_A, layer.lora_B))
    expected = torch.linalg.svdvals(lora.scale * b @ a)[: lora.rank]
    assert found[0].lora == pytest.approx(expected.tolist(), rel=1e-2, abs=1e-7)
