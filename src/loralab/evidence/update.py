"""Inside the update: what training adds to a weight matrix, by full fine-tuning and by LoRA."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel

from loralab.experiment import Experiment
from loralab.train.models import load_for, load_trained

TOP = 16  # singular vectors that are looked at for intruders
INTRUDER = 0.6  # a cosine below this counts as new: a choice, so the figure shows all the cosines


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one pair of runs, with one seed, added to one weight matrix that LoRA is on.

    `full` and `lora` are singular values of ΔW = W_trained - W_base, from large to small; LoRA's stop at its rank.
    `similarity` has for each method, and for each of the trained matrix's first 16 left singular vectors, the cosine (0
    to 1) with the vector of the base that is most like it. `shared` is the share (0 to 1) of the squared size of LoRA's
    ΔW that lies in the space of the full ΔW's first r left singular vectors, and `by_chance` what it would be for a
    space in a random direction, r/d_out.
    """

    layer: str
    seed: int
    full: list[float]
    lora: list[float]
    similarity: dict[str, list[float]]
    shared: float
    by_chance: float

    def intruders(self, method: str) -> int:
        """How many of the first 16 left singular vectors are like none of the base's (cosine below 0.6).

        Intruder dimensions, Shuttleworth et al. 2024 (arXiv 2410.21228), section 3.
        """
        return sum(value < INTRUDER for value in self.similarity[method])


@torch.no_grad()
def updates(full: Experiment, lora: Experiment, folder_of: Callable[[Experiment], Path]) -> list[Update]:
    """The updates of two finished runs from the same base, matrix by matrix where LoRA is.

    `folder_of` gives the folder where a run's weights were kept. Raises FileNotFoundError if they were not.
    """
    base = load_for(lora)
    adapted = load_trained(lora, folder_of(lora))
    assert isinstance(adapted, PeftModel)
    names = [name for name, module in adapted.get_base_model().named_modules() if hasattr(module, "lora_A")]
    models = (base, load_trained(full, folder_of(full)), adapted.merge_and_unload())
    return [_update(name, lora, *(model.get_submodule(name).weight.double() for model in models)) for name in names]


def _update(name: str, lora: Experiment, before: torch.Tensor, by_full: torch.Tensor, by_lora: torch.Tensor) -> Update:
    directions, full, _ = torch.linalg.svd(by_full - before)
    values = torch.linalg.svdvals(by_lora - before)[: lora.rank]
    own = directions[:, : lora.rank].T @ (by_lora - before)
    of_base = torch.linalg.svd(before).U
    return Update(
        layer=name, seed=lora.seed, full=_short(full), lora=_short(values),
        similarity={"full": _most_like(by_full, of_base), "lora": _most_like(by_lora, of_base)},
        shared=float((own**2).sum() / (values**2).sum()), by_chance=lora.rank / len(before),
    )  # fmt: skip


def _most_like(trained: torch.Tensor, of_base: torch.Tensor) -> list[float]:
    vectors = torch.linalg.svd(trained).U[:, :TOP]
    return _short((of_base.T @ vectors).abs().max(dim=0).values)


def _short(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]
