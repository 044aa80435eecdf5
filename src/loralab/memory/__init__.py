"""What a training step takes: counted on shapes alone (tracing, planning), set against GPUs (fitting), and measured.

Others ask for a plan of an experiment on a device, for whether it fits and what to change, and for published sizes.
"""

from loralab import offer

__getattr__, __dir__, __all__ = offer(__name__, {
    "planning": "peaks plan", "fitting": "GPUS fits supports", "figures": "crossover memory_bars",
})  # fmt: skip
