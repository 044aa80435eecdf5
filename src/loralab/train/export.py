"""export(experiment): what a run trained, in a folder that others can use without the course."""

import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoConfig

from loralab.data.assets import assets
from loralab.data.splits import load_splits
from loralab.experiment import Experiment, Result
from loralab.files import is_file, write_atomically
from loralab.messages import message
from loralab.train.chat import conversation, end_of_turn
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
    kept = results_dir() / "runs" / experiment.key  # as a GPU ran it, which this machine perhaps has not
    source = kept if kept.exists() else run_folder(experiment)
    target = results_dir() / "export" / source.name
    if experiment.method in ("prompt", "prefix"):
        raise ValueError(message("export_prompt", given=experiment.method, folder=f"runs/{source.name}/{ADAPTER}"))
    whole = {"weights": "bf16"} if experiment.weights == "nf4" else {}  # what is merged is not packed
    model, tokenizer = load_trained(experiment.but(**whole), source), load_tokenizer(experiment.model)
    made = target.with_name(f".{target.name}")  # takes its place when it is whole
    shutil.rmtree(made, ignore_errors=True)
    if isinstance(model, PeftModel):
        shutil.copytree(source / ADAPTER, made / ADAPTER)
        model = model.merge_and_unload()
    named = AutoConfig.from_pretrained(next(source.rglob("config.json")).parent)
    model.config.id2label, model.config.label2id = named.id2label, named.label2id
    test, kind = load_splits(experiment).test, str(experiment.task)
    values: dict[str, Any] = {}
    if experiment.task == "generation":
        model.generation_config.eos_token_id = end_of_turn(tokenizer)
        instruction = test["instruction"].iloc[0]
        values = {"most": experiment.max_new_tokens, "penalty": experiment.repetition_penalty}
        write_atomically(made / "Modelfile", USE["modelfile"].format(instruction=instruction, **values))
        values["turns"] = repr(conversation(tokenizer, instruction, ""))
    else:
        tokenizer.model_max_length = experiment.max_length or tokenizer.model_max_length
        kind = "pairs" if "text_pair" in test else kind
    model.save_pretrained(made / "model")
    tokenizer.save_pretrained(made / "model")
    write_atomically(made / "model" / "README.md", card(Result.load(source / "result.json"), USE["full"]))
    write_atomically(made / "use.py", USE[kind].format(**values))
    shutil.rmtree(target, ignore_errors=True)
    return made.rename(target)
