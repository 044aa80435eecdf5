"""How long a training step takes: from its counted work, and what a device achieves of each kind of work."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from loralab.memory.tracing import WORK

# NVIDIA's data sheets, without sparsity: operations a second in 16 bits with tensor cores and in fp32, bytes a second.
PEAKS = {
    "T4": {"fp16": 65e12, "fp32": 8.1e12, "bytes": 320e9},
    "L4": {"fp16": 121e12, "fp32": 30.3e12, "bytes": 300e9},
    "A100 40 GB": {"fp16": 312e12, "fp32": 19.5e12, "bytes": 1555e9},
    "A100 80 GB": {"fp16": 312e12, "fp32": 19.5e12, "bytes": 2039e9},
    "H100": {"fp16": 989e12, "fp32": 67e12, "bytes": 3350e9},
}
# Of the peaks, an assumption: matrices of some hundred rows keep the tensor cores waiting, the power limit lowers the
# clock, and no stream of bytes is as fast as the data sheet's.
ACHIEVED = {"fp16": 0.25, "fp32": 0.5, "bytes": 0.75}
# Seconds in which Python starts an operation: 6 to 10 microseconds here, of steps so small that nothing else takes time
# (a slow test takes them). An assumption for the CPU beside a GPU, as Colab's are slower.
STARTED = 15e-6


def rates(work: Sequence[Mapping[str, float]], seconds: Sequence[float]) -> dict[str, float]:
    """Seconds a unit of each kind of work (WORK) that a machine took in steps whose work and seconds are known.

    By non-negative least squares of the relative error: seconds are taken to be a sum over the kinds of work.
    """
    shares = np.array([[done[kind] / taken for kind in WORK] for done, taken in zip(work, seconds, strict=True)])
    scale = np.maximum(shares.max(axis=0), 1e-300)  # a kind that no step had
    found, _ = nnls(shares / scale, np.ones(len(shares)))
    return dict(zip(WORK, (found / scale).tolist(), strict=True))


def published_rates(device: str, precision: str) -> dict[str, float]:
    """The same for a GPU, from its published peaks and the share of them that is taken to be achieved.

    Raises KeyError for a device that is not in PEAKS.
    """
    kind, peak = "fp32" if precision == "fp32" else "fp16", PEAKS[device]
    operations, read = (1 / (peak[work] * ACHIEVED[work]) for work in (kind, "bytes"))
    return {"operations": operations, "bytes": read, "fresh": 0.0, "drawn": 0.0, "started": STARTED}


def step_seconds(work: Mapping[str, float], each: Mapping[str, float], device: str) -> float:
    """Seconds of a step. A CPU does one thing after another; a GPU computes while Python starts what comes next."""
    spent = sum(work[kind] * each[kind] for kind in WORK if kind != "started")
    starting = work["started"] * each["started"]
    return spent + starting if device == "cpu" else max(spent, starting)
