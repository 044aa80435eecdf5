"""The clinic on adapters made for it, sound and sick, and on those that come with the course."""

import json
import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from loralab.__main__ import main
from loralab.clinic import examine
from loralab.messages import set_language

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 50}
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def adapter(folder, chats=False, base="owner/base", trained=True, **changes):
    """A tiny base's adapter as `save_pretrained` leaves it, its numbers set as if it had been trained."""
    model = LlamaForCausalLM(LlamaConfig(**SMALL)) if chats else BertForSequenceClassification(BertConfig(**SMALL))
    config = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
    config["task_type"] = "CAUSAL_LM" if chats else "SEQ_CLS"
    made = get_peft_model(model, LoraConfig(**config | changes))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if trained and "lora_B" in name:
                parameter.fill_(0.1)
    made.peft_config["default"].base_model_name_or_path = base
    made.save_pretrained(folder, save_embedding_layers=False)
    return folder


def with_tokenizer(folder, eos):
    """The adapter's folder with the files of a tokenizer whose template ends turns with <|im_end|>."""
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": eos}))
    (folder / "chat_template.jinja").write_text(CHATML)
    return folder


def rewritten(folder, **changes):
    """The adapter's folder with another configuration."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


SOUND = {
    "a classifier": adapter,
    "one that chats": lambda f: with_tokenizer(adapter(f, chats=True), "<|im_end|>"),
    "no tokenizer beside it": lambda f: adapter(f, chats=True),
    "two ranks": lambda f: adapter(f, rank_pattern={"query": 2}),
    "its head named": lambda f: adapter(f, task_type=None, modules_to_save=["classifier"], target_modules=["query"]),
    "rank-stabilized": lambda f: adapter(f, r=16, lora_alpha=1, use_rslora=True),
    "an old base": lambda f: adapter(f, base="gpt2"),
}
SICK = {
    "untrained": ("untrained", lambda f: adapter(f, trained=False)),
    "no head": ("head", lambda f: adapter(f, task_type=None, target_modules=["query", "value"])),
    "an adapter on a head that is not there": ("head", lambda f: adapter(f, task_type=None)),
    "a path": ("base", lambda f: adapter(f, base="/home/somebody/models/base")),
    "a path from here": ("base", lambda f: adapter(f, base="./base")),
    "a path of Windows": ("base", lambda f: adapter(f, base="C:\\models\\base")),
    "no base": ("base", lambda f: adapter(f, base=None)),
    "another's configuration": ("rank", lambda f: rewritten(adapter(f), r=16, lora_alpha=32)),
    "a scale of 64": ("scale", lambda f: adapter(f, lora_alpha=256)),
    "the end of another": ("end", lambda f: with_tokenizer(adapter(f, chats=True), "</s>")),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_adapter_has_nothing(name, tmp_path, capsys):
    folder = SOUND[name](tmp_path / "adapter")
    assert examine(folder) == []
    assert main(["clinic", str(folder)]) == 0 and "none of the known failures" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["quixote", "sancho"])
def test_the_courses_own_are_sound(name):
    assert examine(Path(__file__).parents[1] / "data" / "adapters" / name) == []


@pytest.mark.parametrize("name", SICK)
def test_a_sick_one_has_that_and_nothing_else(name, tmp_path, capsys):
    ailment, make = SICK[name]
    folder = make(tmp_path / "adapter")
    assert [found for found, _, _ in examine(folder)] == [ailment]
    assert main(["clinic", str(folder), "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert told["name"] == ailment and told["found"] and told["remedy"]
    assert not re.search(r"home|C:|models", told["found"])


def test_what_did_not_train_and_what_diverged_are_counted(tmp_path):
    folder = adapter(tmp_path / "adapter", target_modules=["query"])
    weights = load_file(folder / "adapter_model.safetensors")
    first, second = sorted(name for name in weights if "lora_B" in name)
    weights[first].zero_()
    weights[second][0, 0] = float("nan")
    save_file(weights, folder / "adapter_model.safetensors")
    set_language("es")
    (diverged, what, _), (untrained, zero, _) = examine(folder)
    assert (diverged, untrained) == ("not_finite", "untrained")
    assert what.startswith("1 de sus ") and "1 de sus 2 matrices" in zero


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_damaged_file_is_named(file, tmp_path, capsys):
    folder = adapter(tmp_path / "adapter")
    (folder / file).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert main(["clinic", str(folder)]) == 1 and f"{file} cannot be read" in capsys.readouterr().err


def test_a_folder_without_an_adapter_names_the_file(tmp_path, capsys):
    assert main(["clinic", str(tmp_path)]) == 1
    assert re.search(r"no adapter_config\.json in .*save_pretrained", capsys.readouterr().err)
