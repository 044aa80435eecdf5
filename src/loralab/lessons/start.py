"""What the first cell of a lesson calls."""

import logging
import os
import platform
import sys
import tomllib
import warnings
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import datasets
import torch
import transformers

from loralab.data.files import task_of
from loralab.data.pairs import parts_of
from loralab.data.splits import load_rows, remove_duplicates
from loralab.experiment import ALL, Experiment, is_file
from loralab.messages import gibibytes, message, set_language
from loralab.profiles import Profile, Track, filled, load_profile, merged, profiles
from loralab.train.hardware import detect

T = TypeVar("T", bound=Track)
# What a profile may set: a learning rate for each method, and whatever an experiment has but its method, task and seed.
FIELDS = {field.name for field in fields(Experiment)} - {"task", "method", "seed", "profile"} | {
    "ranks", "seeds", "margin", "variants", "methods", "targets", "sweep",
}  # fmt: skip
# Of a file of one's own: the least rows that the lessons need.
FEWEST = {"classification": 150, "generation": 60}
DRIVE = "/content/drive"  # where Colab's own examples mount it


def profile_name() -> str:
    """The name of the profile in force, and of the student's data if there are any: a folder of results has it."""
    data = os.environ.get("LORALAB_DATA")
    return Path(_asked_profile()).stem + (f"-{Path(data).stem}" if data else "")


def _asked_profile() -> str:
    return os.environ.get("LORALAB_PROFILE") or ("t4" if detect().kind == "cuda" else "cpu")


def chosen_profile() -> Profile:
    """The profile in force: LORALAB_PROFILE (a name, or a TOML file), else what suits the machine.

    LORALAB_DATA, a CSV or JSONL file, takes the place of the data of the track that its columns fit. Where a file of
    one's own has fewer rows than the profile asks for, the splits are made smaller. Raises ValueError, saying what to
    do, for a profile that there is not or a file that cannot be used.
    """
    asked = _asked_profile()
    profile = own_profile(Path(asked)) if asked.endswith(".toml") else load_profile(asked)
    if data := os.environ.get("LORALAB_DATA"):
        path = Path(data).resolve()
        if task_of(path) == "classification":
            profile = profile.on(str(path))
        else:
            profile = replace(profile, generation=profile.generation.on(str(path)))
    generation = replace(_fitted(profile.generation), name=profile_name())
    return replace(_fitted(profile), name=profile_name(), generation=generation)


def own_profile(path: Path) -> Profile:
    """The profile in a TOML file of one's own: the one it starts from (`base = "cpu"`) with what differs.

    Written as profiles.toml is; a `dataset` may be a CSV or JSONL file beside it. Raises ValueError, naming the
    choices, for a base or a field that there is not.
    """
    try:
        row = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(message("profile_not_toml", path=path.name, error=error)) from error
    known = profiles()
    if path.stem in known:
        raise ValueError(message("profile_name_taken", name=path.stem, path=path.name))
    if row.get("base") not in known:
        raise ValueError(message("profile_base", path=path.name, choices=", ".join(known)))
    for track in (row, row.get("generation", {})):
        unknown = set(track) - FIELDS - ({"base", "generation"} if track is row else set())
        if unknown:
            listed, choices = ", ".join(sorted(unknown)), ", ".join(sorted(FIELDS))
            raise ValueError(message("profile_field", path=path.name, given=listed, choices=choices))
        if is_file(track.get("dataset", "")):
            track["dataset"] = str((path.parent / track["dataset"]).resolve())
    return filled(path.stem, merged(known[row.pop("base")], row))


def _fitted(track: T) -> T:
    """The track with splits that its data can fill, if they are a file."""
    dataset = track.settings["dataset"]
    if not is_file(dataset):
        return track
    sizes = fitting_sizes(track.experiment("lora"))
    counts = {name.removesuffix("_size"): count for name, count in sizes.items()}
    print(message("file_sizes", path=Path(dataset).name, **counts))
    return track.on(dataset, **sizes)


def fitting_sizes(experiment: Experiment) -> dict[str, int]:
    """The experiment's split sizes, or what a file of one's own can give where that is less.

    Raises ValueError if the file has too few rows for the lessons.
    """
    sizes = {name: getattr(experiment, f"{name}_size") for name in ("train", "validation", "test")}
    if experiment.task == "generation":
        parts = [len(part) for part in parts_of(experiment.dataset, experiment.split_seed)]
        rows = sum(parts)
        most = dict(zip(sizes, parts, strict=True))
    else:
        frame, _ = remove_duplicates(load_rows(experiment.dataset)[0])
        rows, test, validation = len(frame), len(frame) // 4, len(frame) // 8
        most = {"train": rows - validation - test, "validation": validation, "test": test}
    if rows < FEWEST[experiment.task]:
        name = experiment.dataset.rsplit("/", 1)[-1]
        raise ValueError(message("file_too_small", path=name, rows=rows, least=FEWEST[experiment.task]))
    return {f"{name}_size": most[name] if size == ALL else min(size, most[name]) for name, size in sizes.items()}


def start(language: str, data: str = "", drive: bool = False) -> Profile:
    """Choose the language, load the profile in force, and say so in one line.

    `data`, a file of one's own, is as LORALAB_DATA. With `drive`, in Colab, results and checkpoints are kept in Google
    Drive from now on, in MyDrive/loralab.
    Raises ValueError, naming the choices, for a language that there is not, and what `chosen_profile` raises.
    """
    set_language(language)
    if data:
        os.environ["LORALAB_DATA"] = data
    if drive and "google.colab" in sys.modules:
        import_module("google.colab.drive").mount(DRIVE)
        os.environ["LORALAB_RESULTS"] = f"{DRIVE}/MyDrive/loralab"
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    # peft 0.21 asks transformers 5.23 for an attribute by its old name; neither call is ours.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
    # So does peft 0.20 with another, in Colab.
    log = logging.getLogger("transformers.configuration_utils")
    log.addFilter(lambda record: "use_return_dict" not in record.getMessage())
    # A run of seconds saves two checkpoints within one; Trainer then orders them by number, which is right, and warns.
    logging.getLogger("transformers.trainer_utils").addFilter(lambda record: "mtime" not in record.getMessage())
    device = detect()
    profile = chosen_profile()
    memory = gibibytes(device.memory, 0)
    python, version = platform.python_version(), torch.__version__
    print(message("start", python=python, torch=version, device=device.name, memory=memory, profile=profile.name))
    return profile
