"""What was trained is used elsewhere, by others' libraries alone, from the base's new folder; and says what it is."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from small import few_layers, predict_texts
from transformers import TrainerCallback

from loralab.data.assets import assets, cache_dir
from loralab.data.hub import locate
from loralab.data.own import label_names
from loralab.evidence.report import title_of
from loralab.experiment import Result
from loralab.messages import LANGUAGES, set_language
from loralab.show.tables import provenance_table
from loralab.train import models
from loralab.train.chat import conversation, prompt_ids
from loralab.train.models import load_tokenizer, load_trained
from loralab.train.run import interval, run, run_folder

TEXTS = ["A warm, funny film.", "Two hours that nobody will give me back, ever."]
SIZES = {"train_size": 8, "validation_size": 4, "test_size": 8, "batch_size": 8, "epochs": 1}
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


def place_of(experiment):
    """Where what was trained lies with its card."""
    return next(run_folder(experiment).rglob("README.md")).parent


def code_of(card, base):
    """The code that a card gives, with the base loaded from that folder in place of the hub."""
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    return re.sub(r'"[\w-]+/[\w.-]+", revision="[0-9a-f]{40}"', repr(str(base)), code)


def run_elsewhere(tmp_path, place, name, ask):
    """What a fresh process prints that has the card's own code, no course on its path and no cache where it was."""
    new = tmp_path / "new"
    new.mkdir()
    (new / "base").symlink_to(locate(name))
    shutil.move(place, new / "given")
    offline = Path(__file__).parents[1] / "offline"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORALAB")} | {
        "PYTHONPATH": str(offline), "LORALAB_CACHE": str(tmp_path / "gone"), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    check = "\nimport sys, json, torch\nassert 'loralab' not in sys.modules\n" + ask
    code = code_of((new / "given" / "README.md").read_text(encoding="utf-8"), new / "base") + check
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=new / "given"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def no_path_of_this_machine(folder):
    """Every text file below a folder, looked through for where things lie here."""
    texts = [path.read_text("utf-8") for path in folder.rglob("*") if path.suffix in (".json", ".md", ".jinja")]
    here = {str(folder.parent), str(cache_dir()), str(Path.home()), str(Path.cwd())}
    assert texts and not [place for place in here for text in texts if place in text]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "pissa", "head", "full"])
def test_a_classifier_is_used_elsewhere(smoke, tmp_path, results, method):
    experiment = smoke.experiment(method, **SIZES)
    run(experiment)
    no_path_of_this_machine(results)
    expected = predict_texts(load_trained(experiment, run_folder(experiment)), load_tokenizer("minilm-l6"), TEXTS)
    ask = f"""
batch = tokenizer({TEXTS!r}, padding=True, return_tensors="pt")
with torch.no_grad():
    print(json.dumps([model(**batch).logits.tolist(), model.config.id2label]))
"""
    logits, labels = run_elsewhere(tmp_path, place_of(experiment), experiment.model, ask)
    assert torch.allclose(torch.tensor(logits), expected, atol=1e-6)
    assert labels == {"0": "unfavourable", "1": "favourable"}


@pytest.mark.slow
def test_an_answering_adapter_is_used_elsewhere_and_says_that_its_base_is_a_copy(smoke, tmp_path, results, monkeypatch):
    few_layers(monkeypatch)
    experiment = smoke.generation.experiment("lora", **SIZES)
    result = run(experiment)
    no_path_of_this_machine(results)
    place, fingerprint = place_of(experiment), result.provenance["weights"]
    saved = json.loads((place / "adapter_config.json").read_text())
    assert (saved["base_model_name_or_path"], saved["revision"]) == (
        SMOLLM2,
        assets("model")["smollm2-135m"]["nearest"]["revision"],
    )
    assert result.provenance["base"] == {"hub": SMOLLM2, "revision": saved["revision"], "dequantized": True}
    card = ModelCard.load(place / "README.md")
    assert card.data.base_model == SMOLLM2 and card.data.get("base_fingerprint") == fingerprint
    assert "dequantized from few bits" in card.text and card.text.count(fingerprint) == 2
    tokenizer = load_tokenizer(experiment.model)
    prompt = prompt_ids(tokenizer, conversation(tokenizer, "Answer.", "Who are you?"))
    with torch.no_grad():
        expected = load_trained(experiment, run_folder(experiment))(torch.tensor([prompt])).logits[0, -1]
    ask = f"""
turns = [{{"role": "system", "content": "Answer."}}, {{"role": "user", "content": "Who are you?"}}]
prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
with torch.no_grad():
    print(json.dumps([prompt, model(torch.tensor([{prompt}])).logits[0, -1].tolist()]))
"""
    theirs, logits = run_elsewhere(tmp_path, place, experiment.model, ask)
    assert theirs == prompt and torch.allclose(torch.tensor(logits), expected, atol=1e-5)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_card_says_data_recipe_and_score_with_its_interval(smoke, language):
    set_language(language)
    experiment = smoke.experiment("lora", **SIZES | {"test_size": 64, "examined": True})
    result = run(experiment)
    text = (place_of(experiment) / "README.md").read_text(encoding="utf-8")
    assert assets("dataset")["film-reviews"]["licence"] in text and experiment.key in text
    shown = re.search(r"(\S+)\s?% (?:on|en) .* \[(\S+)\s?%; (\S+)\s?%\]", text).groups()
    score, low, high = (float(value.replace(",", ".")) for value in shown)
    assert not interval(replace(result, predictions=[1], labels=[1]))  # of one example there is none
    accuracy = 100 * result.test["accuracy"]
    assert score == pytest.approx(accuracy, abs=0.1)
    half = 1.96 * (accuracy * (100 - accuracy) / 64) ** 0.5
    assert (low, high) == (pytest.approx(accuracy - half, abs=3), pytest.approx(accuracy + half, abs=3))
    (values,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    values = json.loads(values)
    assert values["experiment"] == experiment.identity() and values["test"] == result.test
    assert values["recipe"] == result.provenance["recipe"] and values["data"] == result.provenance["data"]


def test_another_base_warns(smoke, monkeypatch):
    experiment = smoke.experiment("lora", **SIZES, examined=False)
    run(experiment)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_trained(experiment, run_folder(experiment))
    monkeypatch.setattr(models, "weights_fingerprint", lambda name: "another")
    with pytest.warns(UserWarning, match=r"trained on weights with the fingerprint \w{16}.* has another"):
        load_trained(experiment, run_folder(experiment))


def test_no_data_set_or_embedded_model_is_without_what_a_card_needs():
    for name, row in assets("dataset").items():
        assert row["licence"] and ("labels" not in row or len(set(label_names(name))) == 2)
        assert ("labels" in row) == ("rated" in row or "columns" in row), name
    for row in assets("model").values():
        where = row if "hub" in row else row["nearest"]
        assert re.fullmatch(r"[0-9a-f]{40}", where["revision"]) and where["hub"].count("/") == 1


def write_reviews(path, first="words"):
    path.parent.mkdir(exist_ok=True)
    rows = [
        f"{first if i == 0 else 'text'} number {i} is{' not' * (i % 2)} good,{('sí', 'no')[i % 2]}" for i in range(60)
    ]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")


def test_a_file_of_ones_own_is_its_content(smoke, tmp_path, results, capsys):
    here, there = tmp_path / "here" / "hotel.csv", tmp_path / "there" / "moved.csv"
    write_reviews(here)
    experiment = smoke.on(str(here)).experiment("lora", **SIZES)
    key, result = experiment.key, run(experiment)
    assert result.provenance["labels"] == ["sí", "no"]
    card = (place_of(experiment) / "README.md").read_text(encoding="utf-8")
    assert "hotel.csv; licence: not stated (a file of one's own)" in card and "sí" in card
    no_path_of_this_machine(results)
    shown = provenance_table([result]).to_csv() + title_of(experiment)
    assert "hotel.csv" in shown and str(tmp_path) not in shown
    stored = Result.load(run_folder(experiment) / "result.json")
    there.parent.mkdir()
    here.rename(there)
    moved = smoke.on(str(there)).experiment("lora", **SIZES)
    assert moved.key == stored.experiment.key == key
    capsys.readouterr()
    again = run(moved)
    assert "done before" in capsys.readouterr().out
    assert again.experiment == moved and again.predictions == result.predictions
    write_reviews(there, first="other words")
    assert moved.key != key


class Edit(TrainerCallback):
    """Somebody changes the file while it is trained on."""

    def __init__(self, path):
        self.path = path

    def on_train_begin(self, args, state, control, **kwargs):
        write_reviews(self.path, first="other words")


def test_a_file_that_changes_meanwhile_leaves_the_result_what_was_read(smoke, tmp_path, results):
    path = tmp_path / "own" / "hotel.csv"
    write_reviews(path)
    experiment = smoke.on(str(path)).experiment("lora", **SIZES)
    key = experiment.key
    run(experiment, callbacks=(Edit(path),))
    assert experiment.key != key == Result.load(results / "runs" / key / "result.json").experiment.key
