"""The adapters that come with the course, as they lie in data/adapters."""

import json
import re
from importlib.resources import files

import pytest
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file

from loralab.data.hub import locate, on_the_hub
from loralab.data.splits import load_splits
from loralab.experiment import RECIPE
from loralab.profiles import load_profile
from loralab.train.chat import encode_pairs
from loralab.train.generation import answer_losses
from loralab.train.models import load_for, load_tokenizer, weights_fingerprint

ADAPTERS = files("loralab_data") / "adapters"
NAMES = ("quixote", "sancho")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_small_names_its_base_and_says_what_made_it(name):
    experiment = load_profile("cpu").generation.variant(name)
    weights, config = (ADAPTERS / name / f"adapter_{what}" for what in ("model.safetensors", "config.json"))
    assert weights.stat().st_size < 5e6 and {str(w.dtype) for w in load_file(weights).values()} == {"torch.float16"}
    saved, base = json.loads(config.read_text()), on_the_hub(experiment.model)
    assert (saved["base_model_name_or_path"], saved["revision"]) == (base["hub"], base["revision"])
    assert (saved["r"], saved["lora_alpha"]) == (experiment.rank, experiment.alpha)
    card = ModelCard.load(ADAPTERS / name / "README.md")
    assert card.data.get("base_fingerprint") == weights_fingerprint(experiment.model)
    assert f"experiment `{experiment.key}`" in card.text and f"number {RECIPE} of the course" in card.text
    assert "rounded to 16 bits" in card.text and "95% interval" in card.text
    (code,) = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    ours = re.sub(r'"[\w-]+/[\w.-]+", revision="[0-9a-f]{40}"', repr(str(locate(experiment.model))), code)
    used: dict = {}
    exec(ours.replace('folder = "."', f"folder = {str(ADAPTERS / name)!r}"), used)
    assert used["model"].peft_config["default"].r == experiment.rank and used["tokenizer"].chat_template


@pytest.mark.slow
def test_they_know_their_voices_better_than_the_base_does():
    losses = {}
    for name in NAMES:
        experiment = load_profile("cpu").generation.variant(name)
        tokenizer, base = load_tokenizer(experiment.model), load_for(experiment)
        encoded = encode_pairs(load_splits(experiment).test.head(2), tokenizer, None)
        plain = answer_losses(base, tokenizer, encoded)
        adapted = PeftModel.from_pretrained(base, str(ADAPTERS / name))
        known = answer_losses(adapted, tokenizer, encoded)
        losses[name] = (known[:, 0].sum() - plain[:, 0].sum()) / plain[:, 1].sum()
    assert max(losses.values()) < -0.3, losses  # nats a token
