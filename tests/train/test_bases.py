"""Any base: a folder or the hub's id beside the names of assets.toml, any architecture, any number of classes."""

import json
import math
import shutil

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import BertProcessing
from transformers import (
    ConvBertConfig,
    ConvBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)  # fmt: skip

from loralab.data import hub
from loralab.data.assets import AssetError
from loralab.data.hub import locate, model_row, on_the_hub
from loralab.data.splits import load_splits
from loralab.memory.planning import plan
from loralab.planner import to_plan
from loralab.train.chat import encode_pairs, end_of_turn
from loralab.train.hardware import detect
from loralab.train.metrics import score
from loralab.train.models import apply_method, load_base, load_for, load_tokenizer, load_trained
from loralab.train.run import run, run_folder

NAMES = ("arroz", "café", "leche", "pan", "té")
SIZES = {"train_size": 20, "validation_size": 10, "test_size": 10, "batch_size": 8, "epochs": 1}
WORDS = [f"word{i}" for i in range(50)]


def base_of(folder, model, **special):
    """The model with a tokenizer of whole words, as somebody keeps them in a folder."""
    marks = [*special.values(), "<unk>"]
    numbers = {word: number for number, word in enumerate([*marks, *WORDS, *NAMES])}
    words = Tokenizer(WordLevel(numbers, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    if "cls_token" in special:
        ends = [(special[name], numbers[special[name]]) for name in ("sep_token", "cls_token")]
        words.post_processor = BertProcessing(*ends)
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", model_max_length=64, **special)
    tokenizer.save_pretrained(folder)
    return folder


TINY = {"vocab_size": 80, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
        "embedding_size": 32}  # fmt: skip
ENCODER = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}


@pytest.fixture
def electra(tmp_path):
    return base_of(tmp_path / "electra", ElectraForMaskedLM(ElectraConfig(**TINY)), **ENCODER)


@pytest.fixture
def gpt2(tmp_path):
    """A base that was never taught to converse: no chat template, no padding token."""
    config = GPT2Config(vocab_size=80, n_embd=32, n_layer=1, n_head=2, n_positions=64)
    return base_of(tmp_path / "gpt2", GPT2LMHeadModel(config), eos_token="<end>")


@pytest.fixture
def shop(tmp_path):
    """Five kinds of goods, ten texts of each, the class the first word."""
    rows = [f"{NAMES[i % 5]} {WORDS[i % 50]} {WORDS[7 * i % 50]} n{i},{NAMES[i % 5]}" for i in range(100)]
    path = tmp_path / "tienda.csv"
    path.write_text("texto,etiqueta\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def test_five_classes_on_a_base_in_a_folder(smoke, shop, electra, results):
    profile = smoke.on(shop)
    asked = {"model": str(electra), "dataset": shop, "max_length": 32, **SIZES}
    for method in ("majority", "tfidf", "frozen", "head", "full", "lora"):
        result = run(profile.experiment(method, **asked))
        assert result.provenance["labels"] == list(NAMES) and set(result.labels) == {0, 1, 2, 3, 4}
        assert result.test == {**result.test, **score(result.predictions, result.labels, classes=5)}
    experiment = profile.experiment("lora", **asked)
    config = json.loads((run_folder(experiment) / "adapter" / "config.json").read_text())
    assert config["id2label"] == {str(i): name for i, name in enumerate(NAMES)}
    saved = json.loads((run_folder(experiment) / "adapter" / "adapter_config.json").read_text())
    assert saved["base_model_name_or_path"] == "electra" and set(saved["target_modules"]) == {"query", "value"}
    card = (run_folder(experiment) / "adapter" / "README.md").read_text(encoding="utf-8")
    assert "electra, a folder of one's own" in card and str(electra) not in card
    trained = load_trained(experiment, run_folder(experiment))
    assert trained.config.num_labels == 5
    texts = [path.read_text("utf-8") for path in results.rglob("*") if path.suffix in (".json", ".md")]
    assert not any(str(electra.parent) in text for text in texts)


def test_a_folder_is_its_content_wherever_it_lies(smoke, electra, tmp_path):
    experiment = smoke.experiment("lora", model=str(electra))
    shutil.copytree(electra, tmp_path / "elsewhere" / "electra")
    assert experiment.but(model=str(tmp_path / "elsewhere" / "electra")).key == experiment.key
    config = json.loads((electra / "config.json").read_text())
    (electra / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-5}))
    assert experiment.key != smoke.experiment("lora", model=str(tmp_path / "elsewhere" / "electra")).key


def test_a_fresh_head_of_five_classes_knows_nothing(electra):
    tokenizer, model = load_tokenizer(str(electra)), load_base(str(electra), 0, classes=5).eval()
    batch = tokenizer(["word1 word2", "pan"], padding=True, return_tensors="pt")
    with torch.no_grad():
        loss = model(**batch, labels=torch.tensor([4, 0])).loss.item()
    assert abs(loss - math.log(5)) < 0.05


def test_an_architecture_that_nobody_knows_gets_lora_on_all_linear_layers(smoke, tmp_path, capsys):
    config = ConvBertConfig(**TINY, head_ratio=1, conv_kernel_size=3)
    folder = base_of(tmp_path / "convbert", ConvBertForMaskedLM(config), **ENCODER)
    experiment = smoke.experiment("lora", model=str(folder))
    adapted = [n for n, _ in apply_method(load_for(experiment), experiment).named_modules() if n.endswith("lora_A")]
    assert "no default modules for the architecture convbert" in capsys.readouterr().out
    assert any("query" in name for name in adapted) and any("intermediate.dense" in name for name in adapted)


def test_a_base_without_a_template_learns_to_answer_and_to_stop(smoke, gpt2, tmp_path):
    tokenizer = load_tokenizer(str(gpt2))
    assert tokenizer.pad_token == "<end>" and tokenizer.decode([end_of_turn(tokenizer)]) == "<end>"
    rows = [{"question": f"{WORDS[i]} {WORDS[-i]}", "answer": f"{WORDS[i]} n{i}"} for i in range(50)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sizes = {"train_size": 8, "validation_size": 2, "test_size": 4, "max_length": None}
    experiment = smoke.generation.experiment("lora", model=str(gpt2), dataset=str(path), **sizes)
    result = run(experiment)
    assert result.test["perplexity"] > 1 and len(result.predictions) == 4
    again = load_tokenizer(str(gpt2)).from_pretrained(run_folder(experiment) / "adapter")
    assert again.chat_template == tokenizer.chat_template
    (row,) = encode_pairs(load_splits(experiment).train.head(1), tokenizer, None).dataset
    assert row["labels"][-1] == end_of_turn(tokenizer)


def test_weights_that_can_run_code_are_not_opened(tmp_path, gpt2):
    (gpt2 / "model.safetensors").unlink()
    (gpt2 / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(AssetError, match="gpt2 has no weights in the format `safetensors`"):
        locate(str(gpt2))


def test_the_hubs_id_with_its_revision(monkeypatch, electra):
    asked = []
    monkeypatch.setattr(hub, "download_model", lambda row: asked.append(row) or electra)
    assert locate("ann/electra@v2") == electra and asked == [{"hub": "ann/electra", "revision": "v2"}]
    assert on_the_hub("ann/electra") == {"hub": "ann/electra", "revision": "main"}
    for wrong in ("ann/electra/x", "./nothing", "ann/elec tra"):
        with pytest.raises(ValueError, match=r"neither a folder with a config\.json, nor a name on the hub"):
            model_row(wrong)


def test_a_base_of_ones_own_is_planned(smoke, electra):
    (experiment,) = to_plan(smoke, [f"model={electra}", "method=full"])
    parameters = sum(p.numel() for p in load_for(experiment).parameters())
    assert 4 * parameters <= plan(experiment, detect()).static["weights"] < 4.5 * parameters  # buffers too
