"""profiles.toml read into experiments."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from loralab.experiment import METHOD_FIELDS, Experiment
from loralab.messages import message


@dataclass(frozen=True)
class Profile:
    """One row of profiles.toml: the sizes and hyperparameters that a kind of machine can run."""

    name: str
    ranks: tuple[int, ...]
    seeds: tuple[int, ...]
    learning_rates: dict[str, float]
    margin: float
    settings: dict[str, Any]

    def experiment(self, method: str, **changes: Any) -> Experiment:
        """The profile's experiment for a method, with the learning rate that suits it and the first seed."""
        values = {**self.settings, "seed": self.seeds[0], **changes, "method": method, "profile": self.name}
        if method in self.learning_rates:
            values.setdefault("learning_rate", self.learning_rates[method])
        return Experiment(**values)

    def rank_comparison(self) -> list[Experiment]:
        """Lesson 5's list: each rank with each seed, alpha fixed."""
        return [self.experiment("lora", rank=rank, seed=seed) for rank in self.ranks for seed in self.seeds]

    def comparison(self) -> list[Experiment]:
        """Lesson 6's list: baselines, head, full fine-tuning and LoRA."""
        seeded = [(method, seed) for method in ("head", "full", "lora") for seed in self.seeds]
        return [self.experiment(method) for method in ("majority", "tfidf", "frozen")] + [
            self.experiment(method, seed=seed) for method, seed in seeded
        ]


def load_profile(name: str) -> Profile:
    """The profile of that name. Raises ValueError, naming the profiles there are, if there is none."""
    table = tomllib.loads(files("loralab").joinpath("profiles.toml").read_text(encoding="utf-8"))
    defaults = table.pop("defaults")
    if name not in table:
        raise ValueError(message("unknown", what="profile", given=name, choices=", ".join(table)))
    row = {**defaults, **table[name]}
    rates = row.pop("learning_rate")
    unknown = set(rates) - set(METHOD_FIELDS)
    if unknown:
        raise ValueError(message("unknown", what="method", given=unknown, choices=", ".join(METHOD_FIELDS)))
    return Profile(name, tuple(row.pop("ranks")), tuple(row.pop("seeds")), rates, row.pop("margin"), row)
