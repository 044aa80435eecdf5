"""Plan the memory of a training step before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loralab.experiment import Experiment
from loralab.memory.tracing import PARTS, STATIC, step_of
from loralab.messages import message
from loralab.train.hardware import Device, resolve
from loralab.train.models import configuration


@dataclass(frozen=True)
class Plan:
    """What a training step is going to take, in bytes.

    `parts` says where the peak goes, `static` what weights, gradients and optimizer states take when all of them are
    there: after the backward pass. `rows` and `length` (tokens) are those of the batch.
    """

    experiment: Experiment
    device: Device
    rows: int
    length: int
    parts: dict[str, int]
    static: dict[str, int]

    @property
    def peak(self) -> int:
        """Bytes at the fullest moment."""
        return sum(self.parts.values())


def plan(experiment: Experiment, device: Device, rows: int | None = None, length: int | None = None) -> Plan:
    """The peak memory of the experiment's training on a device, and where it goes.

    From the configuration alone. `rows` and `length` are those of the largest batch: if not given, `batch_size` texts,
    or all there are to train on, that reach `max_length` tokens, or what the model takes, if that is less. Where texts
    are never cut a length has to be given to know the peak: without one it is a lower bound, of texts of one token.
    `experiment.model` may also be the path of a hub's config.json.

    Nothing is summed by formula: the step is taken on meta tensors, which have a shape, a type and no content, and each
    is counted while it lives (lesson 6 explains what they are). The peak is the fullest moment of the second step, when
    the optimizer's states are there. All tokens are taken to be judged; training asks for no logits of what all rows of
    a batch only read, so that long prompts take less than this. A GPU's context and what its allocator leaves unused
    come on top; so do, where several processes train together, the buckets in which they exchange gradients.

    Raises ValueError for a method that trains nothing, for what `hardware.resolve` refuses and for what `step_of` does;
    what `locate` raises if a configuration has to be fetched.
    """
    experiment, length = _settled(experiment, device, length)
    rows = rows or experiment.batch_size
    moments = step_of(experiment, device, rows, length)
    parts = dict(zip(PARTS, map(int, moments[moments.sum(axis=1).argmax()]), strict=True))
    static = {part: int(moments[:, place].max()) for place, part in enumerate(STATIC)}
    return Plan(experiment, device, rows, length, parts, static)


def _settled(experiment: Experiment, device: Device, length: int | None) -> tuple[Experiment, int]:
    """The experiment with the device's precision and a batch that can be filled, and the length of its texts."""
    if not experiment.trains:
        raise ValueError(message("nothing_to_plan", method=experiment.method))
    # How weights can be held depends on what is installed here, which another device need not care about.
    experiment = experiment.but(precision=resolve(experiment.but(weights="fp32"), device).precision)
    if "weights" not in experiment.identity():  # as they are loaded then
        experiment = experiment.but(weights="fp32")
    if isinstance(experiment.train_size, int):
        experiment = experiment.but(batch_size=min(experiment.batch_size, experiment.train_size))
    length = length or experiment.max_length or 1
    # A longer text is refused when it is encoded, with what to do about it.
    most = getattr(configuration(experiment.model).get_text_config(), "max_position_embeddings", length)
    return experiment, min(length, most)


def largest_batch(experiment: Experiment, device: Device, memory: float) -> int:
    """The most rows of `max_length` tokens whose training step stays within `memory` bytes; 0 if not even one does.

    Exceptions as in `plan`.
    """
    fixed, a_row = by_rows(experiment, device)
    if (fixed > memory).any():
        return 0
    grows = a_row > 0
    return int(((memory - fixed[grows]) / a_row[grows]).min())


def peaks(experiment: Experiment, device: Device, rows: Sequence[int], length: int) -> list[int]:
    """The peaks (bytes) of steps with so many rows of `length` tokens. Exceptions as in `plan`."""
    fixed, a_row = by_rows(experiment, device, length)
    return [round(float((fixed + a_row * count).max())) for count in rows]


def by_rows(experiment: Experiment, device: Device, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """For each moment of a step, the bytes that do not depend on the batch's rows, and those that each row adds.

    Exceptions as in `plan`.
    """
    experiment, length = _settled(experiment, device, length)
    # Each tensor has an axis of the batch or has none, and torch does the same operations whatever the rows: steps of 2
    # and of 4 have the same moments, and the bytes of each lie on a line. With 1 row it makes other copies.
    two, four = (step_of(experiment, device, rows, length).sum(axis=1) for rows in (2, 4))
    a_row = (four - two) / 2
    return two - 2 * a_row, a_row
