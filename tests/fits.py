"""Plan again what data/fits.json says of well-known models, and write it there: make fits.

A model is added by a row: its name on the hub, its task, as much of its config.json as decides its size, and the number
of parameters that its page states. Another number counted means that the configuration is not that model's: nothing is
planned then. GPUs are those of loralab.memory.fitting. Nothing is written before all is planned, so that the file is of
one state of the code.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from loralab.experiment import Experiment
from loralab.files import write_atomically
from loralab.memory.fitting import GPUS, ROOM, fits, supports
from loralab.memory.planning import largest_batch, plan
from loralab.profiles import load_profile
from loralab.train.hardware import Device, precisions
from loralab.train.models import empty_model

FITS = Path(__file__).parents[1] / "data" / "fits.json"
ANSWERS = ("precision", "peak", "fits", "largest_batch")


def experiment_of(table: dict[str, Any], row: dict[str, Any], way: str, model: str) -> Experiment:
    """A model's training in one of the table's ways; `model` is its name in the course or its config.json's path."""
    large = load_profile("large")
    track = large.generation if row["task"] == "generation" else large
    own = {name: row[name] for name in ("target_modules",) if name in row}
    return track.experiment(**table["setting"][row["task"]], **table["ways"][way], **own, model=model)


def config_of(row: dict[str, Any], folder: Path) -> str:
    """The path of the row's configuration, written to the folder for the planner."""
    path = folder / f"{row['name'].rpartition('/')[2]}.json"
    if not path.exists():
        path.write_text(json.dumps(row["config"]), encoding="utf-8")
    return str(path)


def count(table: dict[str, Any], row: dict[str, Any], folder: Path) -> int:
    """The parameters of what the row's configuration describes, without a head for classes."""
    model = empty_model(experiment_of(table, row, "full", config_of(row, folder)))
    return sum(p.numel() for p in (model if row["task"] == "generation" else model.base_model).parameters())


def answer(table: dict[str, Any], row: dict[str, Any], way: str, gpu: Device, folder: Path) -> dict[str, Any]:
    """What the planner says of a row's model on a GPU, trained in one of the ways; None where it cannot be.

    What the course has a name for is planned by that name, so that `loralab plan model=…` says the same.
    """
    experiment = experiment_of(table, row, way, row.get("course") or config_of(row, folder))
    if row.get("overflows_fp16") and precisions(gpu)[-1] == "fp16":
        experiment = experiment.but(precision="fp32")
    # A classifier's weights are loaded in fp32 whatever is asked.
    as_asked = experiment.weights == "fp32" or "weights" in experiment.reads
    if not as_asked or not supports(experiment, gpu):
        return dict.fromkeys(ANSWERS)
    planned = plan(experiment, gpu)
    most = largest_batch(experiment, gpu, ROOM * gpu.memory)
    return dict(zip(ANSWERS, (planned.experiment.precision, planned.peak, fits(planned), most), strict=True))


def lines(value: dict[str, Any]) -> str:
    """A table as JSON, a row a line."""
    parts = []
    for key, part in value.items():
        told = json.dumps(part)
        if isinstance(part, list):
            told = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in part) + "\n ]"
        parts.append(f" {json.dumps(key)}: {told}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    table = json.loads(FITS.read_text(encoding="utf-8"))
    plans = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for row in table["models"]:
            if (found := count(table, row, folder)) != row["parameters"]:
                raise SystemExit(f"{row['name']} has {row['parameters']:,} parameters, its configuration {found:,}")
        for row in table["models"]:
            for way in table["ways"]:
                for gpu in GPUS:
                    named = {"model": row["name"], "way": way, "gpu": gpu.name}
                    plans.append(named | answer(table, row, way, gpu, folder))
            print(f"{row['name']}: {time.process_time():,.0f} s", flush=True)
    devices = [{"name": gpu.name, "memory": gpu.memory} for gpu in GPUS]
    write_atomically(FITS, lines(table | {"room": ROOM, "gpus": devices, "plans": plans}))
