"""run(experiment): load the result, or resume, or train. Nothing is trained twice, and nothing computed is lost."""

import datetime
import errno
import json
import math
import os
import platform
import shlex
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors import SafetensorError
from scipy.stats import bootstrap
from torch import nn
from transformers import TrainerCallback

from loralab.data.assets import ABANDONED_AFTER, asset
from loralab.data.hub import on_the_hub
from loralab.data.own import label_names, name_of
from loralab.data.splits import load_splits
from loralab.experiment import RECIPE, DamagedResult, Experiment, Outcome, Result
from loralab.files import content_name, is_own, write_atomically
from loralab.messages import at_work, gibibytes, message, number
from loralab.train.baselines import run_baseline
from loralab.train.hardware import Device, detect, resolve
from loralab.train.models import least_bytes, save_trained, shared_tokenizer, weights_fingerprint
from loralab.train.objectives import objective_of
from loralab.train.trainer import checkpoint_folder, checkpoints, from_main, move_aside, remove_checkpoint, train

VERSIONED = ("accelerate", "datasets", "peft", "sacrebleu", "scikit-learn", "torch", "transformers")
# The fields that decide how much memory training takes.
SIZED = (
    "method", "model", "weights", "precision", "rank", "target_modules", "dropout", "virtual_tokens", "train_size",
    "max_length", "batch_size", "gradient_accumulation_steps", "activation_checkpointing",
)  # fmt: skip
# How long processes wait for the main one, which alone runs baselines: torch's 10 minutes do not do for a large model.
PATIENCE = datetime.timedelta(hours=12)
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
USE = tomllib.loads(Path(__file__).with_name("use.toml").read_text(encoding="utf-8"))


def results_dir() -> Path:
    """Where results go: LORALAB_RESULTS, else `results` in the checkout that we are in, else in this folder."""
    if "LORALAB_RESULTS" in os.environ:
        return Path(os.environ["LORALAB_RESULTS"])
    here = Path.cwd()
    checkout = next((p for p in (here, *here.parents) if (p / "src" / "loralab").is_dir()), here)
    return checkout / "results"


def run_folder(experiment: Experiment) -> Path:
    """The folder of an experiment's result, checkpoints and adapter."""
    return results_dir() / "runs" / resolve(experiment, detect()).key


def processes() -> PartialState:
    """The processes that `accelerate launch` started to run the experiments together; mostly this one alone."""
    return PartialState(cpu=detect().kind == "cpu", timeout=PATIENCE)


def runnable(experiment: Experiment) -> Experiment:
    """The experiment as this machine runs it.

    Raises what `resolve` and `check_weights_fit` raise, and ValueError if a batch has too few rows for every process.
    """
    experiment, launched = resolve(experiment, detect()), processes().num_processes
    if experiment.trains and experiment.batch_size < launched:
        raise ValueError(message("too_many_processes", given=experiment.batch_size, processes=launched))
    check_weights_fit(experiment, detect())
    return experiment


def check_weights_fit(experiment: Experiment, device: Device) -> None:
    """Raises ValueError if what is there between two steps, weights and all, is more than the device's memory.

    What a batch needs beside that is not looked at: `python -m loralab plan` plans it. A device that does not say how
    much it has is not checked, and neither is an experiment whose result is there.
    """
    if not device.memory or not experiment.trains or (run_folder(experiment) / "result.json").exists():
        return
    with processes().local_main_process_first():  # so that a configuration that has to be fetched is fetched once
        one = {f"{name}_size": 1 for name in ("train", "validation", "test", "batch")}  # so that it is asked once
        need = least_bytes(experiment.but(seed=0, split_seed=0, learning_rate=1, alpha=1, epochs=1, **one))
    if need > device.memory:
        sizes = {"need": gibibytes(need), "memory": gibibytes(device.memory), "device": device.name}
        raise ValueError(message("weights_do_not_fit", command=plan_command(experiment), **sizes))


def plan_command(experiment: Experiment) -> str:
    """The command that plans this experiment's memory and says what to change."""
    values = experiment.identity() | {"model": experiment.model}
    own = {name: values[name] for name in ("task", *SIZED) if name in values}
    texts = (v if isinstance(v, str) else ",".join(v) if isinstance(v, tuple) else json.dumps(v) for v in own.values())
    return shlex.join(["python", "-m", "loralab", "plan", *map("=".join, zip(own, texts, strict=True))])


def run(
    experiment: Experiment, callbacks: tuple[TrainerCallback, ...] = (), notes: Mapping[str, Any] | None = None
) -> Result:
    """The experiment's result: loaded if it is there, else trained, from the last whole epoch if one was saved.

    A result of another recipe, experiment, data or weights, or a damaged one, is named and moved aside first; so is one
    without the same `notes`: what else it must rest on, JSON's values by keys of messages, such as {"protocol": "…"}.
    Where several processes were launched all of them call this: they train together, the main one alone prints and
    writes, and each gets the same result. On several machines the results folder has to be a shared one. `callbacks`
    are handed to Trainer. Raises ValueError for an experiment that this machine, the data or the number of processes
    rule out, AssetError if data or weights cannot be had, MemoryError if memory runs out on the way, OSError if the
    disk is full or cannot be written, and FloatingPointError at a loss that is no number: no result is written, and the
    last whole checkpoint is kept.
    """
    device, experiment = detect(), runnable(experiment)  # before anything is fetched
    # Where a file or folder of one's own lies is not kept, and it may change meanwhile.
    names = {name: content_name(getattr(experiment, name)) for name in ("dataset", "model")}
    folder = run_folder(experiment)
    with at_work(experiment.key), processes().local_main_process_first():  # to fetch once for all of them
        provenance = {**(notes or {}), **fingerprints(experiment)}
    known = from_main(lambda: existing_result(experiment, folder, provenance))
    if known is not None:
        ran = known.experiment.but(dataset=experiment.dataset, model=experiment.model)
        return replace(known, experiment=ran)
    check_weights_fit(experiment, device)  # what was there may have been of no use
    splits = load_splits(experiment)
    about = {
        **provenance,
        **({"base": on_the_hub(experiment.model)} if "model" in experiment.reads else {}),
        **({"labels": label_names(experiment.dataset)} if experiment.task == "classification" else {}),
        **({"own": name_of(experiment.dataset)} if is_own(experiment.dataset) else {}),
        "device": device.name,
        "processes": processes().num_processes,
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)  # where nothing can be written it is said before anything is trained
        if not experiment.trains:
            with at_work(experiment.key):
                outcome = from_main(lambda: run_baseline(experiment, splits, device))
            return from_main(lambda: keep(experiment, names, outcome, None, folder, about))
        model, outcome = train(experiment, splits, device, folder, provenance, callbacks)
        return from_main(lambda: keep(experiment, names, outcome, model, folder, about))
    except (MemoryError, RuntimeError, OSError, SafetensorError) as error:
        if told := _what_ran_out(error, experiment):
            raise told from error
        raise


def _what_ran_out(error: Exception, experiment: Experiment) -> Exception | None:
    """The error to raise in place of this one if memory ran out, or a disk cannot be written; None if neither."""
    text = str(error)  # torch's own may be a RuntimeError that says no more than this
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in text:
        return MemoryError(message("out_of_memory", command=plan_command(experiment)))
    by_rust = any(f"(os error {number})" in text for number in UNWRITABLE)
    if getattr(error, "errno", None) in UNWRITABLE or by_rust or "PytorchStreamWriter" in text:
        places = [str(results_dir()), *filter(None, [os.environ.get("LORALAB_CHECKPOINTS")])]
        return OSError(message("results_not_written", folder=" / ".join(places), error=text.partition("\n")[0]))
    return None


def keep(
    experiment: Experiment, names: dict[str, str], outcome: Outcome, model: nn.Module | None, folder: Path,
    provenance: dict[str, Any],
) -> Result:  # fmt: skip
    """Write the result, under `names` for data and model, and what was trained, and remove the checkpoints."""
    result = Result(experiment=experiment, provenance=provenance, **vars(outcome))
    if model is not None:
        save_for_others(model, result, folder)
    replace(result, experiment=experiment.but(**names)).save(folder / "result.json")
    places = {folder, checkpoint_folder(folder, provenance)}
    for checkpoint in [path for place in places for path in place.glob("checkpoint-*")]:
        remove_checkpoint(checkpoint)
    seconds = number(sum(result.seconds.values()), 0)
    print(message("trained", name=experiment.key, seconds=seconds, headline=headline(result)))
    return result


def save_for_others(model: nn.Module, result: Result, folder: Path) -> None:
    """Write what was trained, and beside it what others need to use it: label names, tokenizer and card."""
    experiment, about = result.experiment, result.provenance
    if labels := about.get("labels"):
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {name: label for label, name in enumerate(labels)}
    if (place := save_trained(model, experiment, folder)) is None:
        return
    shared_tokenizer(experiment.model).save_pretrained(place)
    write_atomically(place / "README.md", card(result, USE.get(experiment.method, USE["adapter"])))


def card(result: Result, use: str) -> str:
    """The card of what a result's run trained: what it is, its score with interval, its values; `use` is code."""
    experiment, about = result.experiment, result.provenance
    values = {"experiment": experiment.identity(), **about, "test": result.test}
    kind = "SequenceClassification" if "labels" in about else "CausalLM"
    return message(
        "card", experiment=experiment, about=about, score=headline(result) + interval(result),
        data=about.get("own", experiment.dataset), licence=message("card_own") if "own" in about else
        asset("dataset", experiment.dataset)["licence"],
        base=message("card_own_base" if "own" in about["base"] else "card_base", **about["base"]),
        copy=message("card_copy") if "dequantized" in about["base"] else "",
        use=use.format(kind=kind, **about["base"]), values=json.dumps(values, indent=1, ensure_ascii=False),
    )  # fmt: skip


def interval(result: Result) -> str:
    """The 95 % interval of the main score by bootstrap (Efron 1979); "" for under two examples."""
    right = [float(p == y) for p, y in zip(result.predictions, result.labels, strict=True)]
    values, weights = result.answer_nats or right, result.answer_tokens or [1] * len(right)
    if len(values) < 2:
        return ""
    drawn = bootstrap(
        (values, weights), paired=True, method="percentile", batch=100, random_state=0,
        statistic=lambda values, weights, axis: values.sum(axis) / weights.sum(axis),
    ).confidence_interval  # fmt: skip
    scores = ({"perplexity": math.exp(x)} if result.answer_nats else {"accuracy": x} for x in drawn)
    low, high = (objective_of(result.experiment).headline(score)[1] for score in scores)
    return message("card_interval", low=low, high=high)


def headline(result: Result) -> str:
    """A result's main score, with how many test examples and which seed stand behind it."""
    seed = result.experiment.identity().get("seed")
    if not result.experiment.examined:
        return message("headline_validation", loss=number(result.epochs[-1]["loss"], 3), seed=seed)
    key, score = objective_of(result.experiment).headline(result.test)
    with_seed = "" if seed is None else message("with_seed", seed=seed)
    return message(key, score=score, examples=number(len(result.labels), 0), seed=with_seed)


def run_all(experiments: Sequence[Experiment]) -> list[Result]:
    """Run a list of experiments, in order."""
    return [run(experiment) for experiment in experiments]


def existing_result(experiment: Experiment, folder: Path, provenance: dict[str, Any]) -> Result | None:
    """The folder's result if it is whole, current and the experiment's, saying so; else it is named and moved aside."""
    result, reason = None, ""
    places = dict.fromkeys((folder, checkpoint_folder(folder, provenance)))  # the second's name does not tell notes
    stamps = [stamp["provenance"] for p in places for _, stamp in checkpoints(p, experiment.key) if stamp]
    if (folder / "result.json").exists():
        try:
            result = Result.load(folder / "result.json")
            stamps, ran = [result.provenance], vars(result.experiment)
            other = [f"{name}={ran[name]}" for name, asked in experiment.identity().items() if ran[name] != asked]
            reason = message("other_experiment", what=", ".join(other)) if other else ""
        except DamagedResult as error:
            reason = str(error)
    stale = {name for stamp in stamps for name, value in provenance.items() if stamp.get(name) != value}
    if stale and not reason:
        reason = message("stale_because", what=", ".join(message(name) for name in sorted(stale)))
    if not reason:
        for path in folder.rglob(".writing-*"):  # by a process that was killed
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                path.unlink(missing_ok=True)
        if result is not None:
            for checkpoint in folder.glob("checkpoint-*"):  # if it was killed between the result and their removal
                remove_checkpoint(checkpoint)
            print(message("loaded", name=folder.name, headline=headline(result)))
        return result
    for place in filter(Path.exists, places):
        print(message("moved_aside", name=folder.name, reason=reason, aside=move_aside(place, place)))
    return None


def fingerprints(experiment: Experiment) -> dict[str, Any]:
    """What a result rests on: the data, the recipe and, for a trained model, the weights it started from."""
    provenance: dict[str, Any] = {"data": load_splits(experiment).fingerprint(), "recipe": RECIPE}
    if "model" in experiment.reads:
        provenance["weights"] = weights_fingerprint(experiment.model)
    return provenance
