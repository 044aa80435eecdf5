"""run(experiment): load the result, or resume, or train. Nothing is trained twice, and nothing computed is lost."""

import ast
import datetime
import hashlib
import os
import platform
import shutil
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from loralab.baselines import BASELINES, run_baseline
from loralab.data import load_splits
from loralab.experiment import DamagedResult, Experiment, Result
from loralab.hardware import detect, resolve
from loralab.messages import message, number, percent
from loralab.models import save_trained, weights_fingerprint
from loralab.training import read_stamp, train

# The modules that can change a result or its measurements. The rest loads or shows.
OUTCOME_MODULES = (
    "baselines", "chat", "data", "duplicates", "generation", "hardware", "memory", "metrics", "models", "pairs",
    "tokenization", "training",
)  # fmt: skip
VERSIONED = ("accelerate", "datasets", "peft", "sacrebleu", "scikit-learn", "torch", "transformers")


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


def run(experiment: Experiment, callbacks: tuple[TrainerCallback, ...] = ()) -> Result:
    """The experiment's result: loaded if it is there, else trained, from the last whole epoch if one was saved.

    A result of other code, data or weights, or one that cannot be read, is named and moved aside first.
    `callbacks` are handed to Trainer. Raises ValueError for an experiment that this machine or the data cannot do,
    AssetError if data or weights cannot be had.
    """
    device = detect()
    experiment = resolve(experiment, device)
    folder = run_folder(experiment)
    provenance = fingerprints(experiment)
    known = existing_result(folder, provenance)
    if known is not None:
        print(message("loaded", name=experiment.key, headline=headline(known)))
        return known
    folder.mkdir(parents=True, exist_ok=True)
    splits = load_splits(experiment)
    about = {
        **provenance,
        "device": device.name,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
    }
    if experiment.method in BASELINES:
        outcome = run_baseline(experiment, splits, device)
    else:
        model, outcome = train(experiment, splits, device, folder, provenance, callbacks)
        save_trained(model, experiment, folder)
    result = Result(experiment=experiment, provenance=about, **vars(outcome))
    result.save(folder / "result.json")
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    seconds = number(sum(result.seconds.values()), 0)
    print(message("trained", name=experiment.key, seconds=seconds, headline=headline(result)))
    return result


def headline(result: Result) -> str:
    """A result's main score, with how many test examples and which seed stand behind it."""
    seed = result.experiment.identity().get("seed")
    values = {
        "examples": number(len(result.labels), 0),
        "seed": "" if seed is None else message("with_seed", seed=seed),
    }
    if result.experiment.task == "classification":
        return message("headline_accuracy", accuracy=percent(result.test["accuracy"]), **values)
    if "perplexity" in result.test:
        return message("headline_perplexity", perplexity=number(result.test["perplexity"], 1), **values)
    return message("headline_chrf", chrf=number(result.test["chrf"], 1), **values)


def run_all(experiments: Sequence[Experiment]) -> list[Result]:
    """Run a list of experiments, in order."""
    return [run(experiment) for experiment in experiments]


def existing_result(folder: Path, provenance: dict[str, str]) -> Result | None:
    """The folder's result if it is whole and current; what is damaged or stale is named and moved aside."""
    result, reason = None, ""
    stamps = [stamp["provenance"] for path in folder.glob("checkpoint-*") if (stamp := read_stamp(path))]
    if (folder / "result.json").exists():
        try:
            result = Result.load(folder / "result.json")
            stamps = [result.provenance]
        except DamagedResult as error:
            reason = str(error)
    other = {name for stamp in stamps for name, value in provenance.items() if stamp.get(name) != value}
    if other:
        reason = message("stale_because", what=", ".join(message(name) for name in sorted(other)))
    if not reason:
        return result
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S-%f")
    aside = folder.parent.parent / "aside" / f"{folder.name}-{moment}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    print(message("moved_aside", name=folder.name, reason=reason, aside=f"aside/{aside.name}"))
    return None


def fingerprints(experiment: Experiment) -> dict[str, str]:
    """What a result rests on: the data, the training code and, for a trained model, the weights it started from."""
    found = {"data": load_splits(experiment).fingerprint(), "code": code_fingerprint()}
    if "model" in experiment.identity():
        found["weights"] = weights_fingerprint(experiment.model)
    return found


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """A hash of the outcome-changing modules' syntax trees: comments, layout and docstrings do not count."""
    digest = hashlib.sha256()
    for name in OUTCOME_MODULES:
        digest.update(
            canonical(ast.parse(files("loralab").joinpath(f"{name}.py").read_text(encoding="utf-8"))).encode()
        )
    return digest.hexdigest()[:16]


def canonical(node: Any) -> str:
    """A syntax tree as text, the same on every Python: no docstrings, no positions, no empty fields."""
    if isinstance(node, list):
        return "[" + ",".join(canonical(item) for item in node if not _is_docstring(item)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [f"{name}={canonical(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])]
    return f"{type(node).__name__}({','.join(parts)})"


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
