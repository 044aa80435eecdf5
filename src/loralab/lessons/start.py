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

from loralab.data.assets import asset
from loralab.data.hub import locate, model_row
from loralab.data.own import name_of, task_of
from loralab.data.splits import load_rows, load_splits, parts_of, remove_duplicates
from loralab.experiment import ALL, Experiment
from loralab.files import is_file, is_own
from loralab.messages import gibibytes, message, set_language
from loralab.profiles import Profile, Track, filled, load_profile, merged, profiles
from loralab.train import hardware
from loralab.train.hardware import detect

T = TypeVar("T", bound=Track)
# What a profile may set: a learning rate for each method, and whatever an experiment has but its method, task and seed.
FIELDS = {field.name for field in fields(Experiment)} - {"task", "method", "seed", "profile", "examined"} | {
    "ranks", "seeds", "margin", "variants", "methods", "targets", "sweep",
}  # fmt: skip
# Of a file of one's own: the least rows that the lessons need.
FEWEST = {"classification": 150, "generation": 60}
# Of a profile of one's own: the fewest for training, validation and test that the lessons need.
SMALLEST = {"classification": (32, 16, 32), "generation": (2, 1, 2)}
# The embedded bases have read English; those of the hub have read Spanish too.
SPANISH = {"minilm-l6": "FacebookAI/xlm-roberta-base", "smollm2-135m": "Qwen/Qwen2.5-0.5B-Instruct"}
# Where Colab's own examples mount Drive, and the disk of the machine itself, which a disconnect takes away.
DRIVE, RUNTIME = "/content/drive", "/content/loralab"


def hand_over(profile: Profile) -> tuple[str, str, dict[str, int]]:
    """What plain code needs: the encoder, the chat model (a folder, or the hub's name), and how much it may take.

    Sizes: how many `texts` and `pairs` to train on at most, and the tokens of an `answer`. Raises what `locate` raises.
    """
    encoder, chat = profile.experiment("lora"), profile.generation.experiment("lora")
    sizes = {"texts": encoder.train_size, "pairs": chat.train_size, "answer": chat.max_new_tokens}
    counts = {name: 10**9 if size == ALL else int(size) for name, size in sizes.items()}
    rows = {name: model_row(name) for name in (encoder.model, chat.model)}
    places = {name: locate(name) if {"package", "place"} & set(row) else row["hub"] for name, row in rows.items()}
    return str(places[encoder.model]), str(places[chat.model]), counts


def profile_name() -> str:
    """The name of the profile in force, and of the student's data if there are any: a folder of results has it."""
    data = os.environ.get("LORALAB_DATA")
    return Path(_asked_profile()).stem + (f"-{Path(name_of(data)).stem}" if data else "")


def _asked_profile() -> str:
    return os.environ.get("LORALAB_PROFILE") or ("t4" if detect().kind == "cuda" else "cpu")


def chosen_profile() -> Profile:
    """The profile in force: LORALAB_PROFILE (a name, or a TOML file), else what suits the machine.

    LORALAB_DATA, a data set of one's own (see loralab.data.own), takes the place of the data of the track that its
    columns fit. Where one's own data have fewer rows than the profile asks for, the splits are made smaller. Raises
    ValueError, saying what to do, for a profile that there is not, or one or data that the lessons cannot use.
    """
    asked = _asked_profile()
    profile = own_profile(Path(asked)) if asked.endswith(".toml") else load_profile(asked)
    if data := os.environ.get("LORALAB_DATA"):
        data = _resolved(data, Path.cwd())
        if task_of(data) == "classification":
            profile = profile.on(data)
        else:
            profile = replace(profile, generation=profile.generation.on(data))
    generation = replace(_fitted(profile.generation), name=profile_name())
    profile = replace(_fitted(profile), name=profile_name(), generation=generation)
    if asked.endswith(".toml") or data:
        for track in (profile, generation):
            try:
                check_track(track)
            except ValueError as error:
                where = f"{profile.name}, {message(track.task)}"
                raise ValueError(message("profile_refused", path=where, error=error)) from error
    return profile


def _resolved(name: str, folder: Path) -> str:
    """A data set or model of one's own, found from that folder if it is a path."""
    place, *how = name.split("?")
    return "?".join([os.path.abspath(folder / place), *how]) if is_file(name) or (folder / place).exists() else name


def check_track(track: Track) -> None:
    """Raises ValueError for a track of one's own that a lesson would stumble over: sizes, lengths, data, precision."""
    experiment = track.experiment("lora")
    for name, least in zip(("train_size", "validation_size", "test_size"), SMALLEST[track.task], strict=True):
        given = getattr(experiment, name)
        if given != ALL and given < least:
            raise ValueError(message("profile_too_small", name=name, given=given, least=least))
    for each in (*track.comparison(), *track.rank_comparison()):
        hardware.resolve(each, hardware.detect())
    far = "hub" in (row := model_row(experiment.model)) and "place" not in row  # is looked at later
    if not is_own(experiment.dataset) and "hub" in asset("dataset", experiment.dataset):
        return
    few = load_splits(experiment).train.head(20)
    if not far:
        from loralab.train.models import load_tokenizer  # which loads peft, a second or two
        from loralab.train.objectives import objective_of

        tokenizer = load_tokenizer(experiment.model)
        if track.task == "classification" and tokenizer.cls_token_id is None:
            raise ValueError(message("not_an_encoder", given=experiment.model))
        objective_of(experiment).encode(few, tokenizer, experiment.max_length)


def own_profile(path: Path) -> Profile:
    """The profile in a TOML file of one's own: the one it starts from (`base = "cpu"`) with what differs.

    Written as profiles.toml is; a `dataset` may be a CSV or JSONL file beside it. Raises ValueError, naming the
    choices, for a base or a field that there is not, and naming the file what `Experiment` or a track cannot be.
    """
    try:
        row = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(message("profile_not_toml", path=path.name, error=error)) from error
    known = profiles()
    if path.stem in known:
        raise ValueError(message("profile_name_taken", name=path.stem, path=path.name))
    if row.get("base") not in list(known):
        raise ValueError(message("profile_base", path=path.name, choices=", ".join(known)))
    if not isinstance(generation := row.get("generation", {}), dict):
        raise ValueError(message("profile_table", name="generation", given=generation))
    for track in (row, generation):
        if unknown := set(track) - FIELDS - ({"base", "generation"} if track is row else set()):
            listed, choices = ", ".join(sorted(unknown)), ", ".join(sorted(FIELDS))
            raise ValueError(message("profile_field", path=path.name, given=listed, choices=choices))
        for name in {"dataset", "model"} & set(track):
            if isinstance(track[name], str) and is_own(track[name]):
                track[name] = _resolved(track[name], path.parent)
    try:
        profile = filled(path.stem, merged(known[row.pop("base")], row))
        for part in (profile, profile.generation):
            [*part.comparison(), *part.rank_comparison(), *map(part.variant, part.variants)]
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(message("profile_refused", path=path.name, error=error)) from error
    return profile


def _fitted(track: T) -> T:
    """The track with splits that its data can fill, if they are one's own."""
    dataset = track.settings["dataset"]
    if not is_own(dataset):
        return track
    sizes = fitting_sizes(track.experiment("lora"))
    counts = {name.removesuffix("_size"): count for name, count in sizes.items()}
    print(message("file_sizes", path=name_of(dataset), **counts))
    if (base := track.settings["model"]) in SPANISH:
        print(message("english_base", base=base, spanish=SPANISH[base]))
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
        frame, _ = load_rows(experiment.dataset)
        if is_file(experiment.dataset):  # of what is far away copies are looked for in what is drawn
            frame, _ = remove_duplicates(frame)
        rows, held_out = len(frame), int((frame["part"] == "test").sum())
        here = rows - held_out
        test, rest = (held_out * 9 // 10, here * 9 // 10) if held_out else (rows // 4, rows - rows // 4)
        most = {"train": rest - rest // 6, "validation": rest // 6, "test": test}
    if rows < FEWEST[experiment.task]:
        path, least = name_of(experiment.dataset), FEWEST[experiment.task]
        raise ValueError(message("file_too_small", path=path, rows=rows, least=least))
    return {f"{name}_size": most[name] if size == ALL else min(size, most[name]) for name, size in sizes.items()}


def start(language: str, data: str = "", drive: bool = False) -> Profile:
    """Choose the language, load the profile in force, and say in one line what machine, data and models it is about.

    `data`, a file of one's own, is as LORALAB_DATA. With `drive`, in Colab, results and adapters are kept in MyDrive's
    folder loralab from now on, and checkpoints on the machine's disk: what is deleted in Drive still takes room there.
    Raises ValueError, naming the choices, for a language that there is not, and what `chosen_profile` raises.
    """
    set_language(language)
    if data:
        os.environ["LORALAB_DATA"] = data
    if drive and "google.colab" in sys.modules:
        import_module("google.colab.drive").mount(DRIVE)
        os.environ |= {"LORALAB_RESULTS": f"{DRIVE}/MyDrive/loralab", "LORALAB_CHECKPOINTS": f"{RUNTIME}/runs"}
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    # peft 0.21 asks transformers 5.23 for an attribute by its old name; neither call is ours.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
    # So does peft 0.20 with another, in Colab.
    log = logging.getLogger("transformers.configuration_utils")
    log.addFilter(lambda record: "use_return_dict" not in record.getMessage())
    # A run of seconds saves two checkpoints within one; Trainer then orders them by number, which is right, and warns.
    logging.getLogger("transformers.trainer_utils").addFilter(lambda record: "mtime" not in record.getMessage())
    device, profile = detect(), chosen_profile()
    python, version = platform.python_version(), torch.__version__
    tracks = [t.experiment("lora") for t in (profile, profile.generation)]
    about = ", ".join(message("start_track", data=name_of(e.dataset), model=Path(e.model).name) for e in tracks)
    told = {"device": device.name, "memory": gibibytes(device.memory, 0), "profile": profile.name, "about": about}
    print(message("start", python=python, torch=version, **told))
    return profile
