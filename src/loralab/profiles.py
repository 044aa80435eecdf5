"""profiles.toml read into experiments."""

import tomllib
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from loralab.experiment import LORA_METHODS, TASKS, Experiment, is_file
from loralab.messages import message, one_of

# What a profile may set: a learning rate for each method, and whatever an experiment has but its method, task and seed.
FIELDS = {field.name for field in fields(Experiment)} - {"task", "method", "seed", "profile"} | {
    "ranks", "seeds", "margin", "variants", "methods", "targets", "sweep",
}  # fmt: skip


@dataclass(frozen=True)
class Track:
    """What a kind of machine can run of one track: sizes and hyperparameters, from profiles.toml.

    `margin` is the difference that would matter: in accuracy (a share) or in loss (nats a token). `methods`, `targets`
    (modules for LoRA, by a name for them) and `sweep` (learning rates to choose among, by method) are what the study
    has beside the lessons' comparisons.
    """

    name: str
    ranks: tuple[int, ...]
    seeds: tuple[int, ...]
    learning_rates: dict[str, float]
    margin: float
    settings: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    methods: tuple[str, ...]
    targets: dict[str, str | tuple[str, ...]]
    sweep: dict[str, tuple[float, ...]]

    @property
    def task(self) -> str:
        """The track: "classification" or "generation"."""
        return self.settings["task"]

    @property
    def rank(self) -> int:
        """The rank that the others are compared with, and that the learning rate was chosen at."""
        return self.settings["rank"]

    def experiment(self, method: str, **changes: Any) -> Experiment:
        """The profile's experiment for a method, with the learning rate that suits it and the first seed."""
        values = {**self.settings, "seed": self.seeds[0]}
        if method == "full":  # what is trained is never kept in fewer bits
            values["weights"] = "fp32"
        values |= {**changes, "method": method, "profile": self.name}
        # LoRA's variants take its rate, which is the one that is known.
        rate = self.learning_rates.get("lora" if method in LORA_METHODS else method)
        if rate is not None:
            values.setdefault("learning_rate", rate)
        return Experiment(**values)

    def variant(self, name: str, **changes: Any) -> Experiment:
        """A LoRA experiment that differs from the profile's in what profiles.toml names.

        "original" is the recipe that the course grew out of; "second" trains another, smaller adapter. Raises
        ValueError, naming the variants there are, for any other name.
        """
        one_of("variant", name, self.variants)
        return self.experiment("lora", **{**self.variants[name], **changes})

    def on(self, dataset: str, **sizes: int) -> Self:
        """The same track on another data set, with these split sizes."""
        return replace(self, settings={**self.settings, "dataset": dataset, **sizes})

    def rank_comparison(self) -> list[Experiment]:
        """Lesson 5's list: each rank with each seed, alpha fixed."""
        return [self.experiment("lora", rank=rank, seed=seed) for rank in self.ranks for seed in self.seeds]

    def comparison(self) -> list[Experiment]:
        """Lesson 6's list: the baselines once, then each trained method with each seed."""
        task = TASKS[self.task]
        seeded = [self.experiment(method, seed=seed) for method in task.trained for seed in self.seeds]
        return [self.experiment(method) for method in task.baselines] + seeded


@dataclass(frozen=True)
class Profile(Track):
    """One row of profiles.toml: the classification track, and the generation track beside it."""

    generation: Track


def load_profile(name: str) -> Profile:
    """The profile of that name, or the one in a TOML file of one's own.

    Such a file names the profile it starts from (`base = "cpu"`) and what differs, as profiles.toml does; a `dataset`
    may be a CSV or JSONL file beside it. Raises ValueError, naming the choices, for a profile or a field that there is
    not.
    """
    table = tomllib.loads(files("loralab").joinpath("profiles.toml").read_text(encoding="utf-8"))
    defaults = table.pop("defaults")
    if name.endswith(".toml"):
        path = Path(name)
        name, row = path.stem, _own(path, tuple(table))
        row = _merged(table[row.pop("base")], row)
    else:
        one_of("profile", name, table)
        row = table[name]
    generation = _merged(defaults.pop("generation"), row.pop("generation", {}))
    return Profile(**vars(_track(name, _merged(defaults, row))), generation=_track(name, generation))


def _own(path: Path, known: tuple[str, ...]) -> dict[str, Any]:
    """A profile of one's own as its file has it, data files with their whole path."""
    try:
        row = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(message("profile_not_toml", path=path.name, error=error)) from error
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
    return row


def _merged(defaults: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The defaults with what the row names put in their place, tables within tables too."""
    return defaults | {
        name: _merged(defaults[name], value) if isinstance(value, dict) and name in defaults else value
        for name, value in row.items()
    }


def _track(name: str, row: dict[str, Any]) -> Track:
    rates = row.pop("learning_rate")
    methods = TASKS[row["task"]].methods
    if not isinstance(rates, dict):
        raise ValueError(message("profile_rates", given=rates, choices=", ".join(methods)))
    for method in rates:
        one_of("method", method, methods)
    if row["rank"] not in row["ranks"]:  # the others are compared with it
        raise ValueError(message("profile_rank", rank=row["rank"], ranks=", ".join(map(str, row["ranks"]))))
    apart: dict[str, Any] = {field: tuple(row.pop(field)) for field in ("ranks", "seeds", "methods")}
    apart |= {field: row.pop(field, {}) for field in ("variants", "targets", "sweep", "margin")}
    return Track(name=name, learning_rates=rates, settings=row, **apart)
