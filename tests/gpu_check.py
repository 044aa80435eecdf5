"""Check the course's CUDA paths on one GPU, without a network: `make gpu-check` (`--tiny`: on a CPU, in seconds).

A stand-in serves models of the hub's true sizes with random weights, and made-up texts. In turn, each in a process of
its own: planned against measured training steps; runs stopped and resumed; QLoRA, where bitsandbytes is; and every code
cell of the lessons, on small data, with a T4's limits put on the card.
"""

import argparse
import gc
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import torch
from hub import Hub, Repository
from hub_repositories import Writer, write_bert, write_dataset, write_qwen
from measure import measure
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    DistilBertConfig,
    DistilBertTokenizer,
    TrainerCallback,
)

from loralab.data.assets import asset
from loralab.files import write_atomically
from loralab.lessons.start import chosen_profile
from loralab.memory.measurement import size_name
from loralab.profiles import load_profile
from loralab.train.hardware import detect
from loralab.train.run import run, run_folder

ROOT = Path(__file__).resolve().parents[1]
T4 = 14.7 * 2**30  # bytes that torch has of a T4's 16 GB
LEFT = 160 * 2**20  # bytes that may be left after a run: cuBLAS keeps up to 64 MiB a handle
SMALL = """
base = "t4"
train_size = 96
validation_size = 32
test_size = 120
epochs = 1
ranks = [4, 8]
seeds = [0, 1]
precision = "{precision}"
[generation]
train_size = 32
validation_size = 8
test_size = 32
ranks = [4, 16]
seeds = [0]
precision = "{precision}"
"""
TINY = {"dim": 48, "hidden_dim": 96, "n_layers": 2, "n_heads": 2, "initializer_range": 0.06}


def limit_to_t4():
    """A T4's memory, and no attention that it has no kernels for."""
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, T4 / total))
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)


def write_hub(folder, tiny):
    """The t4 profile's models and data set."""
    bert, qwen, imdb = (folder / name for name in ("bert", "qwen", "imdb"))
    write_bert(bert, DistilBertConfig, DistilBertTokenizer, TINY)
    write_qwen(qwen)
    if not tiny:
        AutoModelForMaskedLM.from_config(DistilBertConfig()).save_pretrained(bert)
        config = AutoConfig.from_pretrained(qwen)
        sizes = asset("model", "qwen2.5-0.5b")["config"]
        config.update({name: value for name, value in sizes.items() if name != "model_type"})
        config.layer_types = ["full_attention"] * config.num_hidden_layers
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(qwen)
    writer = Writer()
    rows = {
        split: [{"text": writer.review(label, 15, 400), "label": label} for label in (0, 1) for _ in range(150)]
        for split in ("train", "test")
    }
    write_dataset(imdb, {"plain_text": rows}, default="plain_text")
    rows = (("model", "distilbert-base-uncased", bert), ("model", "qwen2.5-0.5b", qwen), ("dataset", "imdb", imdb))
    pinned = [(kind, asset(kind, name), where) for kind, name, where in rows]
    return Hub([Repository(f"{kind}s", row["hub"], where, row["revision"]) for kind, row, where in pinned])


def steps(tiny):
    """Planned and measured training steps: one model, method, precision and shape each."""
    t4 = load_profile("t4")
    minilm, pairs = t4.experiment("lora", model="minilm-l6"), t4.generation
    cases = [(minilm, 16, 64), (minilm.but(method="full"), 16, 64)]
    if not tiny:
        cases += [(t4.experiment(method), 16, 512) for method in ("full", "lora", "head")]
        cases += [(pairs.experiment(method), 4, 256) for method in ("full", "lora")]
    for precision in ("fp32",) if tiny else ("fp32", "fp16"):  # those that a T4 has
        for experiment, rows, length in cases:
            yield step(measure(experiment.but(precision=precision), rows, length))


def step(size):
    """What is kept of a measured step; times in seconds, sizes in bytes."""
    planned, static = size.plan.peak, sum(size.plan.static.values())
    experiment = size.plan.experiment
    held = f", {experiment.weights}" if experiment.weights != "fp32" else ""
    row = {"step": f"{size_name(size)}{held}, {experiment.precision}", "seconds": round(size.seconds, 5)}
    row |= {"planned": planned, "measured": size.peak, "ratio": round(size.ratio, 4)}
    row |= {"static_planned": static, "static_measured": size.static, "static_ratio": round(static / size.static, 4)}
    return row | {"good": abs(size.ratio - 1) < 0.2 and abs(static / size.static - 1) < 0.1}


class Stop(TrainerCallback):
    """A training that ends when its second epoch begins."""

    def on_epoch_begin(self, args, state, control, **kwargs):
        if state.epoch and state.epoch >= 1:
            raise KeyboardInterrupt


def resume(profile):
    """Runs with and without an interruption: the same losses, finite, and nothing left in memory."""
    limit_to_t4()
    text, pairs = profile, profile.generation
    experiments = [text.experiment("lora", train_size=64), text.experiment("full", train_size=64)]
    for each in [*experiments, pairs.experiment("lora", train_size=16)]:
        experiment = each.but(epochs=2)
        whole = run(experiment)
        folder = run_folder(experiment)
        shutil.rmtree(folder)
        try:
            run(experiment, callbacks=(Stop(),))
        except KeyboardInterrupt:
            scaler = any(folder.glob("checkpoint-*/scaler.pt"))
        again = run(experiment)
        off = max(abs(a - b) for a, b in zip(whole.loss_by_step, again.loss_by_step, strict=True))
        finite = all(map(math.isfinite, [*again.loss_by_step, again.test["loss"]]))
        gc.collect()  # as the next run does first
        left = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
        precision = again.experiment.precision
        row = {
            "run": f"{experiment.model}, {experiment.method}, {precision}",
            "scaler": scaler,
            "off": off,
            "left": left,
        }
        # A GPU sums in no fixed order, so that two runs are not alike to the last bit.
        good = off < 0.05 and finite and left < LEFT and scaler == (precision == "fp16")
        yield row | {"again": round(again.seconds["training"], 2), "peak": again.memory, "good": good}


def four_bits():
    """A step of QLoRA, planned and measured."""
    yield step(measure(load_profile("t4").generation.experiment("lora", weights="nf4", precision="fp32"), 4, 256))


def lesson(path):
    """Every code cell of a lesson; one that fails is named, and the next goes on."""
    limit_to_t4()
    names, failed, count, started = {"__name__": "__main__"}, [], 0, time.perf_counter()
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            count += 1
            try:
                exec(compile("".join(cell["source"]), f"{path.stem}[{number}]", "exec"), names)
            except (Exception, SystemExit) as error:  # it is what is looked for
                failed.append(f"{number}: {type(error).__name__}: {str(error)[:400]}")
    peak = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
    seconds = round(time.perf_counter() - started, 1)
    yield {"lesson": path.stem, "cells": count, "failed": failed, "seconds": seconds, "peak": peak, "good": not failed}


class Findings:
    """What was found so far: printed and written row by row, so that a check that is cut short leaves something."""

    def __init__(self, out):
        self.out, self.lock, self.started = out, Lock(), time.perf_counter()
        versions = {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")}
        self.content = {"card": detect().name, "date": time.strftime("%Y-%m-%d"), "versions": versions, "seconds": 0}
        self.rows = []

    def note(self, part, row):
        """One row of a part."""
        with self.lock:
            self.rows.append(row)
            print(json.dumps(row), flush=True)
            self.content.setdefault(part, []).append(row)
            self.content["seconds"] = round(time.perf_counter() - self.started)
            write_atomically(self.out, json.dumps(self.content, indent=1) + "\n")

    def run(self, part, *given):
        """A part in a process of its own; one that dies is a row that says so."""
        command = [sys.executable, __file__, "--part", part, *given]
        with tempfile.TemporaryFile("w+") as said:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process:
                for line in process.stdout:
                    if line.startswith('{"'):
                        self.note(part, json.loads(line))
            if process.returncode:
                said.seek(0)
                self.note(part, {"given": given, "error": said.read()[-1500:], "good": False})


def check(tiny, out):
    """All parts; writes what was found, and exits with 1 if something is not as it should be."""
    found = Findings(out)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.chdir(work)
        hub = write_hub(work / "hub", tiny)
        os.environ |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(work / "home"), "LORALAB_RESULTS": str(work / "results")}
        os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
        os.environ["LORALAB_PROFILE"] = str(work / "small.toml")
        (work / "small.toml").write_text(SMALL.format(precision="fp32" if tiny else "fp16"), encoding="utf-8")
        found.run("steps", *(["tiny"] if tiny else []))  # timed, so nothing beside it
        parts = [("lesson", str(path)) for path in sorted((ROOT / "notebooks" / "en").glob("0*.ipynb"))[::-1]]
        parts.append(("resume",))
        if find_spec("bitsandbytes") and not tiny:
            parts.append(("four_bits",))
        with ThreadPoolExecutor(max(1, int(detect().memory // T4)) if not tiny else 1) as pool:
            list(pool.map(lambda part: found.run(*part), parts))
        hub.stop()
    sys.exit(not all(row["good"] for row in found.rows))


def main():
    """The command line: everything, or what the check itself asks for, one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="small models, on a CPU")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "gpu.json", help="where what was found goes")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("given", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not asked.part:
        check(asked.tiny, asked.out)
    made = {
        "steps": lambda: steps(bool(asked.given)),
        "resume": lambda: resume(chosen_profile()),
        "four_bits": four_bits,
        "lesson": lambda: lesson(Path(asked.given[0])),
    }
    for row in made[asked.part]():
        print("\n" + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
