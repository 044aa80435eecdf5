"""Time `run` beside plain Trainer, TRL's SFTTrainer and the recipe that the course grew out of: make bench.

All train LoRA on the same tokens, on the CPU in fp32, an epoch each, timed from the reading of its first batch to its
last step. Each figure is of a process of its own; they take turns, another one first in each round, and ratios are of
one round. `run` profiles one of its steps within that time, which the others do not.

Peak memory is what is there between two steps plus the highest sum of what a profile saw being made and freed, the
first step left out: `run` measures its largest step itself, and of the others all steps are profiled in a process that
is not timed. There torch's counter also counts the operations of the matrix products, padding's too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import timeit
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from transformers import DataCollatorForSeq2Seq, DataCollatorWithPadding, Trainer, TrainerCallback

from loralab import load_profile, load_splits, run
from loralab.experiment import Experiment
from loralab.files import write_atomically
from loralab.train import IGNORED, apply_method, load_for, load_tokenizer, objective_of
from loralab.train.hardware import detect
from loralab.train.peak import profiled_peak, static_bytes
from loralab.train.run import VERSIONED, results_dir
from loralab.train.trainer import training_arguments

OURS = ("run", "original")  # by loralab.run
aten = torch.ops.aten
FUSED = {  # as many operations as attention that is not
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda _, *qkv, **__: 2 * sdpa_flop_count(*qkv[:3]),
}
# A lesson's first cells, and the seconds since its process was asked for.
OPENING = """
import json, sys, time
from loralab import run, start
profile, started = start("en"), time.time()
run(profile.experiment("lora"))
print(json.dumps({"start": started - float(sys.argv[1]), "result": time.time() - float(sys.argv[1])}))
"""
Found = dict[str, Any]


class Epoch(TrainerCallback):
    """Times an epoch; or, if it is to be `measured`, counts its operations and, if `profiled`, its peak memory."""

    def __init__(self, measured: bool, profiled: bool) -> None:
        self.counter = FlopCounterMode(display=False, custom_mapping=FUSED) if measured else None
        self.profiler: Any = profile(activities=[ProfilerActivity.CPU], profile_memory=True) if profiled else None
        self.found: Found = {}

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started = time.perf_counter()
        if self.counter:
            self.counter.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.profiler and state.global_step == 1:  # the optimizer's states are there
            self._static = static_bytes(kwargs["model"], kwargs["optimizer"])
            self.profiler.start()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.found["seconds"] = time.perf_counter() - self._started
        if self.counter:
            self.counter.__exit__(None, None, None)
            self.found["operations"] = self.counter.get_total_flops()
        if self.profiler:
            self.profiler.stop()
            self.found["peak"] = self._static + profiled_peak(self.profiler)


def train(name: str, asked: Found, measured: bool) -> Found:
    """A contestant's epoch: what `Epoch` finds, the first step's `loss`, how many tokens are `labels`."""
    experiment = Experiment(**asked)
    epoch = Epoch(measured, measured and name not in OURS)
    if name in OURS:
        result = run(experiment, (epoch,))
        epoch.found |= {"labels": result.tokens.get("trained", 0), "peak": result.memory["peak_bytes"]}
        return {"loss": result.loss_by_step[0], **epoch.found}
    tokenizer, frame = load_tokenizer(experiment.model), load_splits(experiment).train
    rows = objective_of(experiment).encode(frame, tokenizer, experiment.max_length).dataset
    given: Found = {"model": apply_method(load_for(experiment), experiment), "train_dataset": rows}
    arguments = training_arguments(experiment, detect(), results_dir())
    arguments.eval_strategy = arguments.save_strategy = "no"
    if name == "trl":
        from trl import SFTConfig, SFTTrainer

        # Without its second forward pass, which saves memory, and without 16 bits; the rest as it comes.
        same = {"gradient_checkpointing": False, "bf16": False, "max_length": experiment.max_length}
        trainer = SFTTrainer(args=SFTConfig(**arguments.to_dict() | same), processing_class=tokenizer, **given)
    else:
        collate = DataCollatorForSeq2Seq if experiment.task == "generation" else DataCollatorWithPadding
        trainer = Trainer(args=arguments, data_collator=collate(tokenizer), **given)
    trainer.add_callback(epoch)
    trainer.train()
    batches = [batch["labels"] for batch in trainer.get_train_dataloader() if experiment.task == "generation"]
    labels = sum(int((rows[:, 1:] != IGNORED).sum()) for rows in batches)
    return {"loss": trainer.state.log_history[0]["loss"], "labels": labels, **epoch.found}


def product(size: int) -> Found:
    """The best of ten square matrix products, in operations a second."""
    best = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
        times = timeit.repeat("left @ right", globals={"left": left, "right": right}, number=1, repeat=10)
        best[name] = 2 * size**3 / min(times)
    return best


def apart(*command: str, python: str = sys.executable) -> Found:
    """What a fresh process prints in its last line, as JSON; its results go to a folder that goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"LORALAB_RESULTS": folder, "LORALAB_PROFILE": "smoke"}
        ran = subprocess.run([python, *command], capture_output=True, text=True, env=environment, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)}\n{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


class Bench:
    """The contestants, by task and name; experiments of growing size, by what grows; and what was found of them."""

    def __init__(self, tiny: bool, trl: str) -> None:
        track, few = load_profile("smoke" if tiny else "cpu"), {"epochs": 1, "examined": False, "validation_size": 2}
        films = track.experiment("lora", **few, train_size=32 if tiny else 640)
        quixote = track.generation.experiment("lora", **few, train_size=4 if tiny else 64)
        judged = dict.fromkeys(("run", "trainer", "trl") if trl else ("run", "trainer"), quixote)
        # Padded to one length, its pairs all cost the same, so that some of them do.
        original = track.generation.variant("original", **few, train_size=4 if tiny else 24)
        self.tasks = {"quixote": judged | {"original": original}, "films": dict.fromkeys(("run", "trainer"), films)}
        large = (16, 32, 64), (128, 256, 512), (4, 16, 64)
        sizes, lengths, ranks = ((2, 4), (96, 128), (4, 16)) if tiny else large
        least = quixote.but(train_size=sizes[0])
        self.growth = {
            "examples": {size: quixote.but(train_size=size) for size in sizes},
            "length": {size: least.but(max_length=size, padding="max_length") for size in lengths},
            "rank": {size: least.but(rank=size) for size in ranks},
        }
        self.trl, self.size, self.rounds = trl, 512 if tiny else 2048, list[Found]()
        self.one_batch = {name: self.train(name, e.but(train_size=4, batch_size=4)) for name, e in judged.items()}
        losses, labels = ([found[what] for found in self.one_batch.values()] for what in ("loss", "labels"))
        if len(set(labels)) > 1 or max(losses) / min(losses) > 1 + 1e-4:
            raise SystemExit(f"Not the same loss over the same tokens: {self.one_batch}")
        self.measured = {k: {n: self.train(n, e, True) for n, e in task.items()} for k, task in self.tasks.items()}
        self.about = {name: version(name) for name in VERSIONED} | {"threads": torch.get_num_threads(), "tiny": tiny}

    def train(self, name: str, experiment: Experiment, measured: bool = False) -> Found:
        """`train` in a process of its own; seconds and operations an example."""
        asked = json.dumps({"name": name, "asked": asdict(experiment), "measured": measured})
        found = apart(__file__, "--apart", asked, python=self.trl if name == "trl" else sys.executable)
        return {k: v / experiment.train_size if k in ("seconds", "operations") else v for k, v in found.items()}

    def take_round(self) -> None:
        """Everything once."""
        found: Found = {"product": apart(__file__, "--apart", json.dumps({"size": self.size}))}
        found["opening"] = apart("-c", OPENING, repr(time.time()))
        for key, task in self.tasks.items():
            found[key] = {n: self.train(n, task[n]) for n in np.roll(list(task), len(self.rounds)).tolist()}
        taken = {self.tasks["quixote"]["run"]: found["quixote"]["run"]}  # some are the same experiment
        for axis, experiments in self.growth.items():
            taken |= {e: self.train("run", e) for e in experiments.values() if e not in taken}
            found[axis] = {size: taken[e] for size, e in experiments.items()}
        self.rounds.append(found)

    def summary(self) -> dict[str, dict[str, list[float]]]:
        """What each round says of the machine and of each contestant, by figure."""
        rounds, machine = self.rounds, dict[str, list[float]]()
        said = {"machine": machine}
        for kind in rounds[0]["product"]:
            machine[f"{kind} product, GFLOP/s"] = [r["product"][kind] / 1e9 for r in rounds]
        for moment in rounds[0]["opening"]:
            machine[f"seconds from opening a lesson to its {moment}"] = [r["opening"][moment] for r in rounds]
        for axis, experiments in self.growth.items():
            for what, figure in (("seconds", "seconds an example"), ("peak", "peak memory")):
                grown = [np.log([row[what] for row in r[axis].values()]) for r in rounds]
                slopes = [float(np.polyfit(np.log(list(experiments)), values, 1)[0]) for values in grown]
                machine[f"run's {figure} grow with {axis} to the power of"] = slopes
        for key, task in self.tasks.items():
            for name in task:
                measured, seconds = self.measured[key][name], np.array([r[key][name]["seconds"] for r in rounds])
                figures = said[f"{key}, {name}"] = {"seconds an example": seconds.tolist()}
                figures["times run's"] = (seconds / [r[key]["run"]["seconds"] for r in rounds]).tolist()
                figures["peak, MiB"] = [measured["peak"] / 2**20]
                for kind in rounds[0]["product"]:
                    shares = measured["operations"] / seconds / [r["product"][kind] for r in rounds]
                    figures[f"of the {kind} product"] = shares.tolist()
        return said

    def write(self) -> None:
        """Write what there is, and print it: medians, and from the lowest round to the highest."""
        said = self.summary()
        content = {**self.about, "one_batch": self.one_batch, "measured": self.measured, "rounds": self.rounds}
        write_atomically(results_dir() / "bench.json", json.dumps(content | {"figures": said}, indent=1) + "\n")
        table = pd.DataFrame(said).T.map(lambda v: f"{np.median(v):.3f} ({min(v):.3f}–{max(v):.3f})", "ignore")
        machine = table.loc["machine"].dropna()
        contestants = table.drop(index="machine", columns=machine.index).to_string()
        print(f"\nRounds: {len(self.rounds)}", contestants, machine.to_string(), sep="\n\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="one round of next to nothing, to see that it works")
    parser.add_argument("--trl", default="", metavar="PYTHON", help="a Python that has trl; without one it is left out")
    parser.add_argument("--apart", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.apart:
        given = json.loads(asked.apart)
        print("\n" + json.dumps((train if "name" in given else product)(**given)))
    else:
        bench = Bench(asked.tiny, asked.trl)
        for _ in range(1 if asked.tiny else 5):
            bench.take_round()
            bench.write()


if __name__ == "__main__":
    main()
