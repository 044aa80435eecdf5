import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from small import few_layers, predict_texts
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
)

from loralab.experiment import PEFT_METHODS
from loralab.train.models import (
    apply_method,
    count_parameters,
    empty_model,
    head_parameters,
    linear_names,
    load_base,
    load_language_model,
    load_tokenizer,
    load_trained,
    save_trained,
    target_modules,
)

TEXTS = ["A joy from start to finish.", "Dull.", "Neither here nor there, and far too long for what it is."]
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 99}


def lora_parameters(layers, rank):
    """r(d_in + d_out) summed over the layers: A is r × d_in, B is d_out × r (Hu et al. 2021, section 4.1)."""
    return sum(rank * (layer.in_features + layer.out_features) for layer in layers)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("minilm-l6")


@pytest.fixture(scope="module")
def lora(smoke):
    return smoke.experiment("lora", rank=8, alpha=16)


def random_model(config):
    config.num_labels = 2
    return AutoModelForSequenceClassification.from_config(config)


def trained_a_little(experiment, shift=0.02):
    """A model whose trained parameters are no longer what they started as."""
    model = apply_method(load_base(experiment.model, experiment.seed), experiment)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(shift * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("rank", [1, 8, 64])
def test_three_counts_of_lora_on_minilm_agree(lora, rank):
    model = apply_method(load_base("minilm-l6", 0), lora.but(rank=rank))
    layers = linear_names(load_base("minilm-l6", 0))
    formula = lora_parameters(layers["query"] + layers["value"], rank)
    by_hand = 6 * 2 * rank * (384 + 384)
    counts = count_parameters(model)
    trainable, total = model.get_nb_trainable_parameters()
    assert counts["adapter"] == formula == by_hand
    assert counts["head"] == 384 * 2 + 2 + 384 * 384 + 384  # the pooler, which nobody trained, is fresh too
    assert counts["trainable"] == counts["adapter"] + counts["head"] == trainable
    # peft counts the frozen original of the head, which is never used, too
    assert counts["total"] == total - counts["head"]


def test_published_count_of_distilbert(lora):
    counts = count_parameters(apply_method(random_model(DistilBertConfig()), lora))
    assert (counts["trainable"], counts["head"]) == (739_586, 592_130)


def test_full_and_head_train_what_they_say(smoke):
    full = count_parameters(apply_method(load_base("minilm-l6", 0), smoke.experiment("full")))
    assert full["trainable"] == full["total"] == 22_713_216 + 770
    head = apply_method(load_base("minilm-l6", 0), smoke.experiment("head"))
    fresh = ("bert.pooler.dense", "classifier")
    assert [name for name, p in head.named_parameters() if p.requires_grad] == [
        f"{module}.{kind}" for module in fresh for kind in ("weight", "bias")
    ]


def test_what_a_checkpoint_lacks_is_fresh(smoke, tmp_path, monkeypatch):
    """A BERT saved after masking words has no pooler: ours is drawn by the seed, and trained in every method."""
    masked = BertForMaskedLM(BertConfig(**TINY))
    masked.save_pretrained(tmp_path)
    monkeypatch.setattr("loralab.train.models.locate", lambda name: tmp_path)
    head, other = (load_base("distilbert-base-uncased", seed) for seed in (0, 1))
    assert [name for name, _ in head_parameters(head)] == [
        f"{module}.{kind}" for module in ("bert.pooler.dense", "classifier") for kind in ("weight", "bias")
    ]
    assert not torch.equal(head.bert.pooler.dense.weight, other.bert.pooler.dense.weight)
    counts = count_parameters(apply_method(head, smoke.experiment("lora")))
    assert counts["trainable"] == counts["adapter"] + counts["head"] and counts["head"] == 32 * 32 + 32 + 2 * 32 + 2


def test_prompt_tuning_trains_the_classifier_alone(smoke):
    model = apply_method(load_base("minilm-l6", 0), smoke.experiment("prompt"))
    counts = count_parameters(model)
    assert counts["head"] == 770 and counts["trainable"] == counts["adapter"] + 770


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (BertConfig(**TINY), ["query", "value"]),
        (RobertaConfig(**TINY), ["query", "value"]),
        (DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, vocab_size=99), ["q_lin", "v_lin"]),
        (
            LlamaConfig(**TINY, pad_token_id=0),
            ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        ),
    ],
    ids=["bert", "roberta", "distilbert", "llama"],
)
def test_modules_by_architecture(lora, config, expected):
    model = random_model(config)
    assert target_modules(model, "default") == expected
    layers = [layer for name in expected for layer in linear_names(model)[name]]
    assert count_parameters(apply_method(model, lora))["adapter"] == lora_parameters(layers, 8)


def test_all_linear_leaves_the_head_alone(lora):
    every = [layer for layers in linear_names(load_base("minilm-l6", 0)).values() for layer in layers]
    model = apply_method(load_base("minilm-l6", 0), lora.but(target_modules="all-linear"))
    assert count_parameters(model)["adapter"] == lora_parameters(every, 8)


def test_a_path_tells_modules_of_one_name_apart(lora):
    changed = lora.but(target_modules=("query", "attention.output.dense"))
    names = [name for name, _ in apply_method(load_base("minilm-l6", seed=0), changed).named_modules()]
    assert sum(name.endswith("attention.output.dense.lora_A") for name in names) == 6
    assert sum(name.endswith("lora_A") for name in names) == 12


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ("q_lin", "q_lin"),
        (["query", "q_lin"], "q_lin"),
        (["query", "self.dense"], "self.dense"),
        (["classifier"], "classifier"),
        ("uery", "uery"),
    ],
)
def test_a_wrong_module_name_lists_the_names_there_are(lora, wanted, named):
    with pytest.raises(ValueError, match=rf"no linear module called '{named}'.*query, key, value, dense"):
        apply_method(load_base("minilm-l6", 0), lora.but(target_modules=wanted))


def test_an_unknown_model_names_the_choices():
    with pytest.raises(ValueError, match="minilm-l6"):
        load_base("minilm-l7", 0)


def test_every_method_starts_from_the_same_head(smoke):
    heads = []
    for method in ("full", "head", "lora"):
        model = apply_method(load_base("minilm-l6", 3), smoke.experiment(method, seed=3))
        heads.append([parameter.detach() for _, parameter in head_parameters(model)])
    assert all(torch.equal(a, b) for head in heads[1:] for a, b in zip(heads[0], head, strict=True))
    other = [parameter for _, parameter in head_parameters(load_base("minilm-l6", 4))]
    assert torch.equal(heads[0][0], other[0]) and not torch.equal(
        heads[0][-2], other[-2]
    )  # the pooler is the checkpoint's


def test_lora_starts_as_the_base(lora, tokenizer):
    model = apply_method(load_base("minilm-l6", 0), lora)
    assert torch.equal(
        predict_texts(model, tokenizer, TEXTS), predict_texts(load_base("minilm-l6", 0), tokenizer, TEXTS)
    )


def test_merged_is_w_plus_scaled_ba(lora, tokenizer):
    model = trained_a_little(lora)
    layer = model.base_model.model.bert.encoder.layer[2].attention.self.value
    by_hand = layer.base_layer.weight + lora.scale * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    before = predict_texts(model, tokenizer, TEXTS)
    merged = model.merge_and_unload(safe_merge=True)
    assert torch.allclose(merged.bert.encoder.layer[2].attention.self.value.weight, by_hand, atol=1e-6)
    assert torch.allclose(predict_texts(merged, tokenizer, TEXTS), before, atol=1e-5)
    assert not any("lora" in name for name, _ in merged.named_modules())


@pytest.mark.parametrize("method", ["full", "head", *PEFT_METHODS])
def test_saved_and_reloaded(smoke, tokenizer, tmp_path, method):
    experiment = smoke.experiment(method)
    model = trained_a_little(experiment)
    save_trained(model, experiment, tmp_path)
    # another seed, and so another fresh head underneath: the saved one has to replace it
    reloaded = load_trained(experiment.but(seed=9), tmp_path)
    assert torch.equal(predict_texts(reloaded, tokenizer, TEXTS), predict_texts(model, tokenizer, TEXTS))
    fresh = load_base(experiment.model, experiment.seed)
    assert not torch.allclose(predict_texts(fresh, tokenizer, TEXTS), predict_texts(model, tokenizer, TEXTS), atol=1e-4)
    assert method == "full" or sum(file.stat().st_size for file in tmp_path.rglob("*.*")) < 1_000_000


def test_weights_of_another_model_are_refused(smoke, tmp_path):
    save_file({"lm_head.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"another model: this one has no lm_head\.weight"):
        load_trained(smoke.experiment("full"), tmp_path)


def test_what_is_too_large_is_not_kept(smoke, tmp_path, monkeypatch):
    monkeypatch.setattr("loralab.train.models.KEPT_BYTES", 10**6)
    full = smoke.experiment("full")
    save_trained(load_base("minilm-l6", 5), full, tmp_path)
    with pytest.raises(FileNotFoundError, match="512 MiB"):
        load_trained(full, tmp_path)


def test_nothing_saved_says_so(lora, tmp_path):
    with pytest.raises(FileNotFoundError, match="no saved model"):
        load_trained(lora, tmp_path)


def test_a_text_of_ones_own_that_does_not_fit_is_named(tokenizer):
    model = load_base("minilm-l6", 0)
    with pytest.raises(ValueError, match="Row 1 holds '', not a text"):
        predict_texts(model, tokenizer, ["good", ""])
    with pytest.raises(ValueError, match="Row 0 has 602 tokens"):
        predict_texts(model, tokenizer, ["good " * 600])


def test_two_adapters_on_one_base(lora, tokenizer, tmp_path):
    answers = {}
    for name, shift in (("first", 0.02), ("second", -0.03)):
        model = trained_a_little(lora, shift)
        model.save_pretrained(tmp_path / name)
        answers[name] = predict_texts(model, tokenizer, TEXTS)
    both = PeftModel.from_pretrained(load_base("minilm-l6", 0), tmp_path / "first", adapter_name="first")
    both.load_adapter(tmp_path / "second", adapter_name="second")
    for name in ("second", "first", "second"):
        both.set_adapter(name)
        assert torch.equal(predict_texts(both, tokenizer, TEXTS), answers[name])


DECODER = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def answering(smoke):
    return smoke.generation.experiment("lora", rank=16)


def test_published_counts_of_gemma_3_4b_before_there_is_access(answering):
    gemma = empty_model(answering.but(model="gemma-3-4b"))
    assert {parameter.device.type for parameter in gemma.parameters()} == {"meta"}
    assert sum(parameter.numel() for parameter in gemma.parameters()) == pytest.approx(4.300e9, rel=1e-4)
    model = apply_method(gemma, answering.but(model="gemma-3-4b"))
    # 34 layers: query 2560 → 2048, key and value → 1024, output back; gate and up 2560 → 10240, down back
    one = (2560 + 2048) * 2 + (2560 + 1024) * 2 + (2560 + 10240) * 3
    assert count_parameters(model)["adapter"] == 34 * 16 * one == 29_802_496
    adapted = {name.split(".lora_")[0] for name, _ in model.named_parameters() if ".lora_" in name}
    assert len(adapted) == 34 * 7 and all("language_model" in name for name in adapted)
    assert not any("vision" in name or "multi_modal" in name for name in adapted)
    assert count_parameters(model)["trainable"] == 29_802_496


def test_smollm2_as_it_is_trained(answering):
    model = load_language_model("smollm2-135m")
    assert count_parameters(model)["total"] == 134_515_008
    layers = [layer for name in DECODER for layer in linear_names(model)[name]]
    counts = count_parameters(apply_method(model, answering))
    assert counts["adapter"] == counts["trainable"] == lora_parameters(layers, 16) == 4_884_480
    assert counts["head"] == 0 and counts["total"] == 134_515_008 + 4_884_480


def random_language_model(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("config", [LlamaConfig, Qwen2Config, Qwen3Config])
@pytest.mark.parametrize("tied", [True, False])
def test_what_gives_the_words_is_no_head(answering, config, tied):
    model = random_language_model(config(**TINY, tie_word_embeddings=tied))
    assert head_parameters(model) == []
    assert target_modules(model, "default") == DECODER and "lm_head" not in linear_names(model)
    adapted = apply_method(model, answering)
    assert count_parameters(adapted)["head"] == 0
    assert not any("lm_head" in name for name, p in adapted.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("wanted", ["all-linear", ["q_proj"]])
def test_the_words_are_given_as_before(answering, wanted):
    model = apply_method(random_language_model(LlamaConfig(**TINY)), answering.but(target_modules=wanted))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained and not any("lm_head" in name or "embed" in name for name in trained)


def test_shared_embeddings_count_once():
    tied, apart = (random_language_model(LlamaConfig(**TINY, tie_word_embeddings=tie)) for tie in (True, False))
    assert count_parameters(apart)["total"] - count_parameters(tied)["total"] == 99 * 32


def test_full_fine_tuning_trains_every_weight_of_a_language_model(answering):
    counts = count_parameters(apply_method(random_language_model(LlamaConfig(**TINY)), answering.but(method="full")))
    assert counts["trainable"] == counts["total"] and counts["adapter"] == counts["head"] == 0


def test_a_whole_language_model_saved_and_reloaded(answering, tmp_path, monkeypatch):
    few_layers(monkeypatch)
    full = answering.but(method="full")
    model = load_language_model("smollm2-135m")
    with torch.no_grad():
        model.model.embed_tokens.weight[5] += 1
        model.model.layers[1].mlp.up_proj.weight.mul_(1.5)
    save_trained(model, full, tmp_path)
    reloaded = load_trained(full, tmp_path)
    assert reloaded.lm_head.weight is reloaded.model.embed_tokens.weight
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reloaded.parameters(), strict=True))


def test_the_seed_decides_an_adapters_values(answering):
    def values(seed):
        model = apply_method(random_language_model(LlamaConfig(**TINY)), answering.but(seed=seed))
        return torch.cat([p.flatten() for name, p in model.named_parameters() if "lora_A" in name])

    assert torch.equal(values(0), values(0)) and not torch.equal(values(0), values(1))
