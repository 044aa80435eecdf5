"""profiles.toml read into experiments."""

import math
import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Self

from loralab.experiment import LORA_METHODS, TASKS, Experiment
from loralab.messages import message, one_of

SOURCES = ("profiles.toml", "evidence/protocol.toml")


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

        "original" is the recipe that the course grew out of. Raises ValueError, naming what there is, for another.
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


def profiles() -> dict[str, dict[str, Any]]:
    """What profiles.toml says of each profile, by its name; the study's is in its protocol."""
    table, protocol = (tomllib.loads(files("loralab").joinpath(path).read_text(encoding="utf-8")) for path in SOURCES)
    defaults, table["study"] = table.pop("defaults"), protocol["study"]
    return {name: merged(defaults, row) for name, row in table.items()}


def load_profile(name: str) -> Profile:
    """The profile of that name in profiles.toml. Raises ValueError, naming the choices, if there is none."""
    one_of("profile", name, profiles())
    return filled(name, profiles()[name])


def filled(name: str, row: dict[str, Any]) -> Profile:
    """The profile that a row of `profiles` describes. Raises ValueError for what cannot be."""
    generation = _track(name, row.pop("generation"))
    return Profile(**vars(_track(name, row)), generation=generation)


def merged(defaults: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The defaults with what the row names put in their place, tables within tables too."""
    return defaults | {
        name: merged(defaults[name], value) if isinstance(value, dict) and name in defaults else value
        for name, value in row.items()
    }


def _track(name: str, row: dict[str, Any]) -> Track:
    rates, methods = row.pop("learning_rate"), TASKS[row["task"]].methods
    if not isinstance(rates, dict):
        raise ValueError(message("profile_rates", given=rates, choices=", ".join(methods)))
    apart: dict[str, Any] = {field: row.pop(field) for field in ("ranks", "seeds", "methods", "margin")}
    apart |= {field: row.pop(field, {}) for field in ("variants", "targets", "sweep")}
    for field in ("variants", "targets", "sweep"):
        if not isinstance(apart[field], dict):
            raise ValueError(message("profile_table", name=field, given=apart[field]))
    lists = {field: apart[field] for field in ("ranks", "seeds", "methods")}
    for field, given in (lists | {f"sweep.{method}": rates for method, rates in apart["sweep"].items()}).items():
        least = int(field != "methods")
        if not isinstance(given, list) or len(given) < least or any(given.count(value) > 1 for value in given):
            raise ValueError(message("profile_list", name=field, given=given, least=least))
    apart |= {field: tuple(given) for field, given in lists.items()}
    for method in (*rates, *apart["methods"], *apart["sweep"]):
        one_of("method", method, methods)
    if row["rank"] not in apart["ranks"]:  # the others are compared with it
        raise ValueError(message("profile_rank", rank=row["rank"], ranks=", ".join(map(str, apart["ranks"]))))
    margin = apart["margin"]
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < math.inf:
        raise ValueError(message("not_a_number", name="margin", given=margin, least=0, below=math.inf))
    return Track(name=name, learning_rates=rates, settings=row, **apart)
