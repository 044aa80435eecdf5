"""export(experiment): what a run trained, in a folder that others can use without the course."""

import json
import shutil
from pathlib import Path

from peft import PeftModel
from transformers import AutoConfig

from loralab.data.assets import assets
from loralab.data.splits import load_splits
from loralab.experiment import Experiment, Result
from loralab.files import is_file, write_atomically
from loralab.messages import message
from loralab.train.chat import conversation
from loralab.train.models import ADAPTER, load_tokenizer, load_trained
from loralab.train.run import USE, card, results_dir, run_folder


def experiment_of(key: str) -> Experiment:
    """The experiment whose result lies in results/runs/<key>.

    Raises ValueError if there is none (it names those there are), or if it read a file or a model's folder of one's
    own: a result does not keep where these lie, and `export` takes the experiment itself.
    """
    there = {path.parent.name: path for path in sorted(results_dir().glob("runs/*/result.json"))}
    if key not in there:
        raise ValueError(message("export_unknown", given=key, expected=", ".join(there) or "–"))
    experiment = Result.load(there[key]).experiment
    if is_file(experiment.dataset) or ("/" not in experiment.model and experiment.model not in assets("model")):
        raise ValueError(message("export_own", given=key))
    return experiment


def export(experiment: Experiment) -> Path:
    """Write what a finished run trained into results/export/<key>; returns that folder.

    In it lie the adapter, if it is one, as `run` kept it; `model`, merged into one, with its tokenizer; the card in
    both; `use.py`, which loads the model and asks it; and for a model that answers a Modelfile for Ollama. Raises
    FileNotFoundError if nothing was kept, ValueError if what was trained is no part of the weights (a learned prompt).
    """
    source, target = run_folder(experiment), results_dir() / "export" / experiment.key
    if experiment.method in ("prompt", "prefix"):
        raise ValueError(message("export_prompt", given=experiment.method, folder=f"runs/{source.name}/{ADAPTER}"))
    model, tokenizer = load_trained(experiment, source), load_tokenizer(experiment.model)
    shutil.rmtree(target, ignore_errors=True)
    if isinstance(model, PeftModel):
        shutil.copytree(source / ADAPTER, target / ADAPTER)
        model = model.merge_and_unload()
    named = AutoConfig.from_pretrained(next(source.rglob("config.json")).parent)
    model.config.id2label, model.config.label2id = named.id2label, named.label2id
    model.save_pretrained(target / "model")
    tokenizer.save_pretrained(target / "model")
    write_atomically(target / "model" / "README.md", card(Result.load(source / "result.json"), USE["full"]))
    values = {}
    if experiment.task == "generation":
        instruction = load_splits(experiment).test["instruction"].iloc[0]
        turns = conversation(tokenizer, instruction, "")
        values = {
            "turns": json.dumps(turns),
            "most": experiment.max_new_tokens,
            "penalty": experiment.repetition_penalty,
        }
        write_atomically(target / "Modelfile", USE["modelfile"].format(instruction=json.dumps(instruction), **values))
    write_atomically(target / "use.py", USE[experiment.task].format(**values))
    return target
