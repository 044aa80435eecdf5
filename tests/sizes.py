"""Measure again every training step that data/sizes.json has, and write them there: make sizes.

A step is added by a row with its experiment. Nothing is written before all are there, so that the file is of one
machine and one state of the code.
"""

import json
from dataclasses import asdict
from pathlib import Path

from measure import measure_apart

from loralab.files import write_atomically
from loralab.memory.measurement import SIZES, published, size_name

DATA = Path(__file__).parents[1] / "data"

if __name__ == "__main__":
    sizes = []
    for was in published():
        experiment, written = was.plan.experiment, DATA / f"{was.plan.experiment.model}.json"
        asked = experiment.but(model=str(written)) if written.is_file() else experiment
        sizes.append(size := measure_apart(asked, was.plan.rows, was.plan.length))
        print(f"{size_name(size)}: plan over measurement {size.ratio:.3f}", flush=True)
    write_atomically(DATA / SIZES, json.dumps([asdict(size) for size in sizes], indent=1) + "\n")
