"""Take training steps for real, one process each, and set what they took beside what was planned."""

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback, set_seed

from loralab.experiment import Experiment
from loralab.memory.measurement import Size, loaded
from loralab.memory.planning import plan
from loralab.memory.tracing import empty_base
from loralab.train.hardware import detect
from loralab.train.models import apply_method, load_for
from loralab.train.objectives import objective_of
from loralab.train.peak import PeakMemory, static_bytes
from loralab.train.trainer import LengthTrainer, training_arguments

STEPS, UNTIMED = 8, 3  # a step is timed several times, after those that make the optimizer's states and are profiled


class Watch(TrainerCallback):
    """Times steps, and counts what is there between the backward pass and the optimizer's step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.static = 0
        self._started = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started = time.perf_counter()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 1:  # the optimizer's states are there
            self.static = static_bytes(kwargs["model"], kwargs["optimizer"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():  # it works on while Python comes here
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._started)


def measure(experiment: Experiment, rows: int, length: int) -> Size:
    """Plan a training step, and take it: Trainer's, with the course's loss, on texts of random tokens.

    The base's values are drawn anew, so that nothing has to be fetched; its size is what counts. One text is a token
    shorter, so that there is a mask, as with texts. On a CPU to be called in a process that has done nothing else.
    """
    device = detect()
    planned = plan(experiment, device, rows, length)
    experiment, length = planned.experiment, planned.length
    set_seed(0)
    with torch.device(device.kind):
        base = load_for(experiment) if experiment.weights == "nf4" else empty_base(experiment)
    model = apply_method(base, experiment)
    count = rows * experiment.gradient_accumulation_steps
    ids = torch.randint(5, model.config.get_text_config().vocab_size, (count, length))
    mask = torch.ones_like(ids)
    mask[-1, -1] = 0
    objective = objective_of(experiment)
    columns = {"input_ids": ids, "attention_mask": mask, "labels": objective.labels(ids)}
    dataset = Dataset.from_dict({name: values.tolist() for name, values in columns.items()})
    peak, watch = PeakMemory(1), Watch()
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(experiment.but(batch_size=rows, epochs=STEPS), device, Path(folder))
        arguments.eval_strategy = arguments.save_strategy = "no"
        trainer = LengthTrainer(
            lengths=[length] * count, model=model, args=arguments, train_dataset=dataset,
            compute_loss_func=objective.loss, callbacks=[peak, watch],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    named = replace(planned, experiment=experiment.but(model=Path(experiment.model).name.removesuffix(".json")))
    result, seconds = peak.result, statistics.median(watch.seconds[UNTIMED:])
    return Size(plan=named, peak=result["peak_bytes"], static=watch.static, method=result["method"], seconds=seconds)


def measure_apart(experiment: Experiment, rows: int, length: int) -> Size:
    """`measure` in a process of its own, so that nothing that was there before counts.

    Raises ValueError with what the process said if it ends in an error.
    """
    given = json.dumps({"experiment": asdict(experiment), "rows": rows, "length": length})
    command = [sys.executable, __file__, given]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        killed = signal.strsignal(-ran.returncode) if ran.returncode < 0 else None  # by a system out of memory
        error = killed or ran.stderr.strip().splitlines()[-1]
        raise ValueError(f"{experiment.key} could not be measured: {error}")
    return loaded(json.loads(ran.stdout.splitlines()[-1]))


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    asked["experiment"] = Experiment(**asked["experiment"])
    print(json.dumps(asdict(measure(**asked))))
