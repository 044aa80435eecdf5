"""Models that tests can do without: what a base has of dropout, and most of a language model's layers."""

from functools import partial

import pandas as pd
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from loralab.train.models import load_for
from loralab.train.tokens import encode


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


@torch.no_grad()
def predict_texts(model, tokenizer, texts, max_length=None):
    """The logits (texts × classes) of a few texts, in one padded batch; texts are cut at `max_length` tokens."""
    encoded = encode(pd.DataFrame({"text": list(texts), "label": 0}), tokenizer, max_length)
    rows = encoded.dataset.remove_columns("labels")
    batch = tokenizer.pad(list(rows), return_tensors="pt").to(model.device)
    return model.eval()(**batch).logits
