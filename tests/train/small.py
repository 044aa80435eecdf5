"""Models that tests can do without: what a base has of dropout, and most of a language model's layers."""

from functools import partial

from torch import nn
from transformers import AutoModelForCausalLM

from loralab.train.models import load_for


def without_dropout(experiment):
    """The experiment's base with every dropout at 0: what is drawn differs with the order of rows and the processes."""
    model = load_for(experiment)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def few_layers(monkeypatch):
    """Of a language model the first 2 layers (SmolLM2 has 30)."""
    cut = partial(AutoModelForCausalLM.from_pretrained, num_hidden_layers=2)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", cut)
