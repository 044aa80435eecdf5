"""The methods beside LoRA, by the same `method` field."""

import math

import pytest
import torch
from small import predict_texts
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from loralab.experiment import LORA_METHODS, PEFT_METHODS
from loralab.train.models import apply_method, count_parameters, load_for, load_tokenizer
from loralab.train.run import run

TEXTS = ["A warm, funny film.", "Two hours that nobody will give me back, ever."]
# MiniLM has 6 layers of width 384, and 1,536 in the feed-forward block; rank 8 on query and value; 16 virtual tokens.
MATRICES = 12
LORA = MATRICES * 8 * (384 + 384)
COUNTS = {
    "lora": LORA,
    "rslora": LORA,
    "pissa": LORA,
    "dora": LORA + MATRICES * 384,  # a magnitude for each row of W
    "ia3": 6 * (384 + 384 + 1536),  # keys, values, and what goes into the block's last layer
    "prompt": 16 * 384,
    "prefix": 6 * 2 * 16 * 384,  # a key and a value in each layer: as many as LoRA's by chance
}


@pytest.fixture(scope="module")
def tokenizer(smoke):
    return load_tokenizer(smoke.experiment("lora").model)


@pytest.mark.parametrize("method", PEFT_METHODS)
def test_parameters_by_hand(smoke, method):
    experiment = smoke.experiment(method)
    counted = count_parameters(apply_method(load_for(experiment), experiment))
    assert counted["adapter"] == COUNTS[method]
    assert counted["trainable"] == counted["adapter"] + counted["head"]


@pytest.mark.parametrize("method", [*LORA_METHODS, "ia3"])
def test_training_starts_from_the_base(smoke, tokenizer, method):
    experiment = smoke.experiment(method)
    base = predict_texts(load_for(experiment), tokenizer, TEXTS)
    assert torch.allclose(
        predict_texts(apply_method(load_for(experiment), experiment), tokenizer, TEXTS), base, atol=1e-6
    )


@pytest.mark.parametrize("method", ["prompt", "prefix"])
def test_virtual_tokens_are_read(smoke, tokenizer, method):
    experiment = smoke.experiment(method)
    base = predict_texts(load_for(experiment), tokenizer, TEXTS)
    assert not torch.allclose(predict_texts(apply_method(load_for(experiment), experiment), tokenizer, TEXTS), base)


def test_pissa_takes_the_base_apart(smoke):
    """Meng et al. 2024, section 3: the adapter holds the r largest singular values of W, its base the others."""
    experiment = smoke.experiment("pissa")
    before = load_for(experiment).bert.encoder.layer[0].attention.self.query.weight.detach()
    layer = apply_method(load_for(experiment), experiment).base_model.model.bert.encoder.layer[0].attention.self.query
    of_w, of_rest = (torch.linalg.svdvals(weight) for weight in (before, layer.base_layer.weight.detach()))
    assert torch.allclose(of_rest[: -experiment.rank], of_w[experiment.rank :], rtol=1e-3)


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_the_rank_stabilised_factor(smoke, rank):
    experiment = smoke.experiment("rslora", rank=rank, alpha=6.0)
    layer = apply_method(load_for(experiment), experiment).base_model.model.bert.encoder.layer[0].attention.self.query
    assert layer.scaling["default"] == experiment.scale == 6 / math.sqrt(rank)


def test_a_head_that_peft_would_leave_out_is_refused(smoke):
    model = DistilBertForSequenceClassification(DistilBertConfig(n_layers=1, vocab_size=100))
    with pytest.raises(ValueError, match="pre_classifier"):
        apply_method(model, smoke.experiment("prompt"))
    assert count_parameters(apply_method(model, smoke.experiment("ia3")))["adapter"] == 768 + 768 + 3072


def test_a_run_that_is_not_examined_never_sees_the_test(smoke):
    experiment = smoke.experiment("lora", train_size=16, validation_size=8, test_size=8, examined=False)
    result = run(experiment)
    assert (result.test, result.predictions, result.labels) == ({}, [], [])
    assert result.epochs[-1]["loss"] > 0
    assert run(experiment) == result
    examined = run(experiment.but(examined=True))
    assert examined.loss_by_step == result.loss_by_step and examined.test
