"""run(experiment): load the result, or resume, or train. Nothing is trained twice, and nothing computed is lost."""

import ast
import datetime
import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import TrainerCallback

from loralab.baselines import BASELINES, run_baseline
from loralab.data import load_splits
from loralab.experiment import DamagedResult, Experiment, Outcome, Result
from loralab.fitting import check_fits
from loralab.hardware import detect, resolve
from loralab.messages import message, number, percent
from loralab.models import save_trained, weights_fingerprint
from loralab.training import read_stamp, train

# The modules that can change a result or its measurements. The rest loads or shows.
OUTCOME_MODULES = (
    "baselines", "chat", "data", "duplicates", "generation", "hardware", "metrics", "models", "pairs", "peak",
    "tokenization", "training",
)  # fmt: skip
VERSIONED = ("accelerate", "datasets", "peft", "sacrebleu", "scikit-learn", "torch", "transformers")
# How long processes wait for the main one, which alone runs baselines: torch's 10 minutes do not do for a large model.
PATIENCE = datetime.timedelta(hours=12)
T = TypeVar("T")


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


def check_processes(experiment: Experiment) -> None:
    """Raises ValueError, naming the remedy, if a batch has too few rows for every process to get one."""
    launched = processes().num_processes
    if experiment.method not in BASELINES and experiment.batch_size < launched:
        raise ValueError(message("too_many_processes", given=experiment.batch_size, processes=launched))


def check_memory(experiment: Experiment) -> None:
    """Raises ValueError, with what to change, if a whole batch of the longest texts cannot fit this machine's memory.

    An experiment whose result is there is not checked: it takes none.
    """
    if not (run_folder(experiment) / "result.json").exists():
        with processes().local_main_process_first():  # so that a configuration that has to be fetched is fetched once
            check_fits(experiment, detect(), processes().num_processes)


def run(experiment: Experiment, callbacks: tuple[TrainerCallback, ...] = ()) -> Result:
    """The experiment's result: loaded if it is there, else trained, from the last whole epoch if one was saved.

    A result of other code, data or weights, or one that cannot be read, is named and moved aside first. Where several
    processes were launched all of them call this: they train together, the main one alone prints and writes, and each
    gets the same result. On several machines the results folder has to be a shared one. `callbacks` are handed to
    Trainer. Raises ValueError for an experiment that this machine, the data or the number of processes rule out,
    AssetError if data or weights cannot be had.
    """
    device = detect()
    experiment = resolve(experiment, device)
    check_processes(experiment)
    check_memory(experiment)  # before anything is fetched
    folder = run_folder(experiment)
    with processes().local_main_process_first():  # so that what has to be fetched is fetched once
        provenance = fingerprints(experiment)
    known = from_main(lambda: existing_result(folder, provenance))
    if known is not None:
        return known
    check_memory(experiment)  # what was there may have been of no use
    splits = load_splits(experiment)
    about = {
        **provenance,
        "device": device.name,
        "processes": processes().num_processes,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
    }
    if experiment.method in BASELINES:
        return from_main(lambda: keep(experiment, run_baseline(experiment, splits, device), None, folder, about))
    model, outcome = train(experiment, splits, device, folder, provenance, callbacks)
    return from_main(lambda: keep(experiment, outcome, model, folder, about))


def from_main(make: Callable[[], T]) -> T:
    """What `make` returns on the main process, which alone calls it, on all processes."""
    made = [make() if processes().is_main_process else None]
    return broadcast_object_list(made)[0]


def keep(
    experiment: Experiment, outcome: Outcome, model: nn.Module | None, folder: Path, provenance: dict[str, Any]
) -> Result:
    """Write the result and what was trained, and remove the checkpoints, which are of no more use."""
    folder.mkdir(parents=True, exist_ok=True)
    if model is not None:
        save_trained(model, experiment, folder)
    result = Result(experiment=experiment, provenance=provenance, **vars(outcome))
    result.save(folder / "result.json")
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    seconds = number(sum(result.seconds.values()), 0)
    print(message("trained", name=experiment.key, seconds=seconds, headline=headline(result)))
    return result


def headline(result: Result) -> str:
    """A result's main score, with how many test examples and which seed stand behind it."""
    seed = result.experiment.identity().get("seed")
    if not result.experiment.examined:
        return message("headline_validation", loss=number(result.epochs[-1]["loss"], 3), seed=seed)
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
    """The folder's result if it is whole and current, saying so; what is damaged or stale is named and moved aside."""
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
        if result is not None:
            print(message("loaded", name=folder.name, headline=headline(result)))
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
