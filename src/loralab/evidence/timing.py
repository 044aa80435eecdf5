"""Time methods against each other: in turns, on the same batches; and the operations of a step."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import nn

from loralab.data.splits import load_splits
from loralab.experiment import Experiment, Result
from loralab.messages import message, number
from loralab.train.hardware import detect, resolve
from loralab.train.models import apply_method, load_for, load_tokenizer
from loralab.train.objectives import objective_of
from loralab.train.tokens import batches_by_length

METHODS = ("full", "lora")  # a study's other methods and places are timed too
ROUNDS, WARM_UP = 30, 3


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What `race` measured of one track.

    `seconds` has one entry a round for each method, each one optimizer step; `tokens` counts the batch's real tokens.
    `expected` are full fine-tuning's and LoRA's operations in a step on the last round's batch, by `step_operations`.
    """

    task: str
    profile: str
    device: str
    seconds: dict[str, list[float]]
    tokens: list[int]
    expected: dict[str, int]

    @property
    def ratios(self) -> list[float]:
        """Full fine-tuning's time over LoRA's, round by round."""
        return self.over_lora("full")

    def over_lora(self, method: str) -> list[float]:
        """A method's time over LoRA's, round by round."""
        return self.over(method, "lora")

    def over(self, name: str, other: str) -> list[float]:
        """The time of one over another's, round by round."""
        return [taken / beside for taken, beside in zip(self.seconds[name], self.seconds[other], strict=True)]


class Racer:
    """One method's model and optimizer, to take steps as Trainer does: loss, gradients, clipping, AdamW."""

    def __init__(self, experiment: Experiment) -> None:
        device = detect()
        self.model = apply_method(load_for(experiment), experiment).to(device.kind).train()
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=experiment.learning_rate, fused=True)
        self.loss = objective_of(experiment).loss

    def seconds(self, batch: dict[str, Any]) -> float:
        """How long one step takes, until its work is done on a GPU too."""
        started, labels = time.perf_counter(), batch["labels"]
        self.optimizer.zero_grad()
        outputs = self.model(**{name: values for name, values in batch.items() if name != "labels"})
        self.loss(outputs, labels, labels.numel()).backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        if detect().kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def race(experiments: Mapping[str, Experiment], rounds: int = ROUNDS) -> Timing:
    """Let full fine-tuning, LoRA and what else there is, by name, take steps in turns, each round on another batch.

    The batches are of the first epoch, from the shortest texts to the longest. Each round another method goes first,
    and the first steps, which set things up, are not timed.
    """
    device, names = detect(), list(experiments)
    resolved = {name: resolve(experiment, device) for name, experiment in experiments.items()}
    batches = spread_batches(resolved["lora"], rounds)
    racers = {name: Racer(experiment) for name, experiment in resolved.items()}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for batch in (batches[-1], *batches[: WARM_UP - 1]):
        for racer in racers.values():
            racer.seconds(batch)
    for turn, batch in enumerate(batches):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(racers[name].seconds(batch))
    of = experiments["lora"]
    return Timing(
        task=of.task, profile=of.profile, device=device.name, seconds=seconds,
        tokens=[int(batch["attention_mask"].sum()) for batch in batches],
        expected={method: step_operations(racers[method].model, batches[-1]) for method in METHODS},
    )  # fmt: skip


def spread_batches(experiment: Experiment, count: int) -> list[dict[str, Any]]:
    """So many of the first epoch's whole batches, evenly spread from the shortest to the longest, on the device."""
    tokenizer, train = load_tokenizer(experiment.model), load_splits(experiment).train
    objective = objective_of(experiment)
    encoded = objective.encode(train, tokenizer, experiment.max_length)
    batches = batches_by_length(encoded.lengths, experiment.batch_size, experiment.seed, 0)
    whole = [rows for rows in batches if len(rows) == experiment.batch_size]
    whole.sort(key=lambda rows: max(encoded.lengths[row] for row in rows))
    chosen = np.linspace(0, len(whole) - 1, count).round().astype(int)
    collate, kind = objective.collator(experiment, tokenizer), detect().kind
    made = (collate([encoded.dataset[row] for row in whole[i]]) for i in chosen)
    return [dict(send_to_device(batch, kind)) for batch in made]


@torch.no_grad()
def step_operations(model: nn.Module, batch: dict[str, Any]) -> int:
    """Operations of one forward and backward pass by formula (Kaplan et al. 2020, section 2.1, and attention's own).

    A weight costs each token that reaches its layer 2 operations forward, 2 for the gradient of what the layer reads
    and, if it is trained, 2 for its own. Attention's two products cost 4·length·width a layer and token forward, and
    twice that backward. Padding costs as much as the rest. Left out: below the first trained weight nothing needs a
    gradient.
    """
    operations: list[int] = []

    def count(layer: nn.Linear, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        reached = inputs[0].numel() // layer.in_features
        operations.append(reached * layer.weight.numel() * (6 if layer.weight.requires_grad else 4))

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Linear)]
    model(**batch)
    for hook in hooks:
        hook.remove()
    config: Any = model.config.get_text_config()
    rows, length = batch["attention_mask"].shape
    return sum(operations) + 12 * rows * length * length * config.hidden_size * config.num_hidden_layers


def steps_to(losses: Sequence[float], target: float, window: int) -> int:
    """The first step (from 1) at which the mean of the last `window` losses is at or below the target.

    Raises ValueError, naming the lowest mean, if it never is.
    """
    means = _means(losses, window)
    reached = np.flatnonzero(means <= target)
    if not len(reached):
        raise ValueError(message("never_reached", target=number(target, 3), lowest=number(float(means.min()), 3)))
    return int(reached[0]) + window


def target_loss(full: Sequence[Result], lora: Sequence[Result], window: int) -> float:
    """A loss (nats) that all of the runs reach: the highest of the lowest mean losses over `window` steps."""
    return max(float(_means(result.loss_by_step, window).min()) for result in (*full, *lora))


def _means(losses: Sequence[float], window: int) -> np.ndarray:
    return np.convolve(losses, np.ones(window) / window, mode="valid")
