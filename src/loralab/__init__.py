"""LoRA Lab: the package that the lessons call, in one screen.

An experiment is a value that describes a training run completely (experiment.py); `run` loads its result, resumes it
or trains it (train/run.py). A result remembers the data, the weights and the recipe that made it, and is set aside when
they change. Whoever has read this and those two files has seen how it works. Lessons show each idea in plain
transformers and peft code first, and then assert that the package gives the same numbers.

At the top stands what all speak: `experiment`, `profiles` (what runs where), `messages` (in each language), `files`.
Below are rooms, each of which imports only from those above it:

    data       get text: assets, the hub, what somebody brings, film reviews, question-answer pairs, splits
    train      text to result: tokens, models, methods, metrics, training
    show       result to eye: statistics, tables, sentences, figures
    lessons    what lessons ask: start, predictions, exercises
    memory     what a training step takes: planned, fitted, measured
    evidence   the study: what it runs, times and finds, its verdicts and its report

and last the command line: `python -m loralab doctor`, `plan`, `run`, `report` and more.
"""

import gc
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

# One GPU, unless several processes were launched to share them: left to itself, Trainer would wrap the model in
# DataParallel. Read when CUDA is first used.
if "LOCAL_RANK" not in os.environ:
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")

# torch reads these when it is first imported. Its threads (GNU OpenMP's, on Linux) spin while they wait for each other,
# on a core that the other one needs if there is other work. With so few spins a step takes little longer alone, and
# beside another busy process about half as long.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Its profiler, which measures memory on a CPU, notes on stderr that it did not see the allocations from before the
# profile (those are counted apart, see loralab.train.peak), and kineto traces each start and stop.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def offer(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, from the names that each of its modules offers, in one text.

    A module is loaded when one of its names is asked for, so that what needs no torch loads none.
    """
    home = {name: module for module, listed in names.items() for name in listed.split()}

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        collects = gc.isenabled()
        gc.disable()  # what is imported stays: to look through it for garbage meanwhile takes a sixth of the time
        try:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        finally:
            if collects:
                gc.enable()

    return load, lambda: sorted(home), sorted(home)


# What lessons use most.
__getattr__, __dir__, __all__ = offer(__name__, {
    "messages": "message number percent scientific", "experiment": "Experiment", "profiles": "load_profile",
    "data.splits": "load_splits", "train.hardware": "detect", "train.run": "run run_all run_folder",
    "lessons.start": "hand_over start", "lessons.predictions": "predict", "lessons.exercises": "check grade",
    "memory.planning": "plan",
})  # fmt: skip
