"""Count what each lesson computes under the `t4` profile, started alone: `make work`, into data/work.json.

Each lesson is run whole on a CPU, over small stand-ins of the profile's models and data, into an empty results folder.
What it trained and examined is then counted at the profile's own sizes. Tokens are at most so many: each row counts as
the longest that the profile reads. What is computed outside of experiments (timed steps, a few answers) is left out.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from gpu_check import ROOT, write_hub
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, DistilBertConfig

from loralab.files import write_atomically
from loralab.profiles import load_profile
from loralab.train.models import configuration

SIZES = ("train_size", "validation_size", "test_size")
# Sizes that no lesson names itself, so that those which stand in an experiment are the profile's.
SMALL = {"classification": (97, 33, 121), "generation": (34, 9, 37)}
# The t4 profile's models, by the task, as shapes.
with torch.device("meta"):
    MODELS = {
        "classification": AutoModelForMaskedLM.from_config(DistilBertConfig()),
        "generation": AutoModelForCausalLM.from_config(configuration("qwen2.5-0.5b")),
    }
# Millions of parameters that a token is multiplied by: an embedding is looked up, unless it is the output layer too.
MULTIPLIED = {
    "classification": sum(p.numel() for p in MODELS["classification"].distilbert.transformer.parameters()) / 1e6,
    "generation": MODELS["generation"].num_parameters() / 1e6,
}
# What a lesson fetches: how its folder in the hub's cache begins, and megabytes. DistilBERT's weights have 32 bits,
# Qwen2.5's 16; the reviews are the three files that the hub lists.
FETCHED = {
    "datasets--stanfordnlp--imdb": 21.0 + 20.5 + 42.0,
    "models--distilbert": 4 * MODELS["classification"].num_parameters() / 1e6,
    "models--Qwen": 2 * MODELS["generation"].num_parameters() / 1e6,
}
# Products a parameter and token in training: forward; the gradient of what a layer reads; that of its weights.
PRODUCTS = {"full": 3, "lora": 2, "head": 1}


def small_profile(base):
    """A profile like `base`, in small, as TOML."""
    texts, pairs = ("\n".join(map("{} = {}".format, SIZES, SMALL[task])) for task in SMALL)
    return f'base = "{base}"\nprecision = "fp32"\n{texts}\n[generation]\nprecision = "fp32"\n{pairs}\n'


def at_its_size(experiment, profile):
    """The fields of an experiment of the small profile, as they are in `profile`."""
    track = profile if experiment["task"] == "classification" else profile.generation
    sizes = zip(SIZES, SMALL[experiment["task"]], strict=True)
    return experiment | {name: track.settings[name] for name, small in sizes if experiment[name] == small}


def count(experiments):
    """Sums over experiments: runs, steps, thousands of tokens, and floating-point operations in units of 10^12."""
    total = dict.fromkeys(("runs", "steps", "trained", "judged", "written", "operations"), 0.0)
    for e in experiments:
        if e["method"] in ("majority", "tfidf", "retrieval"):  # these compute next to nothing
            continue
        products = PRODUCTS.get(e["method"], 0)  # none for a model as it came
        epochs, examined = (e["epochs"] if products else 0), (e["test_size"] if e["examined"] else 0)
        trained = epochs * e["train_size"] * e["max_length"]
        judged = (epochs * e["validation_size"] + examined) * e["max_length"]
        written = examined * e["max_new_tokens"] if e["task"] == "generation" else 0
        total["runs"] += bool(products)
        total["steps"] += epochs * math.ceil(e["train_size"] / e["batch_size"])
        total["trained"] += trained / 1e3
        total["judged"] += judged / 1e3
        total["written"] += written / 1e3
        total["operations"] += 2 * (products * trained + judged + written) * MULTIPLIED[e["task"]] / 1e6
    return {name: round(value) for name, value in total.items()}


def lesson(path, hub, base, work):
    """What a lesson alone trained and examined, and what it fetched (MB)."""
    (work / "small.toml").write_text(small_profile(base), encoding="utf-8")
    results, home = work / path.stem / "results", work / path.stem / "home"
    told = {"HF_ENDPOINT": hub.url, "HF_HOME": home, "LORALAB_RESULTS": results, "LORALAB_PROFILE": work / "small.toml"}
    command = [sys.executable, str(ROOT / "tests" / "gpu_check.py"), "--part", "lesson", str(path)]
    done = subprocess.run(command, env={**os.environ, **told}, cwd=work, capture_output=True, text=True)
    said = json.loads(done.stdout.strip().rpartition("\n")[2] or "{}") if not done.returncode else {}
    if not said.get("good"):
        raise SystemExit(f"{path.stem} did not run: {said.get('failed')}\n{done.stderr[-1500:]}")
    made = [json.loads(p.read_text("utf-8"))["experiment"] for p in results.glob("runs/*/result.json")]
    full = [at_its_size(e, load_profile(base)) for e in made]
    # A model's tokenizer alone leaves a folder too, with no weights in it.
    there = [p.name for p in (home / "hub").glob("*--*") if "datasets" in p.name or any(p.rglob("*.safetensors"))]
    fetched = sum(size for start, size in FETCHED.items() if any(name.startswith(start) for name in there))
    return {
        "lesson": path.stem,
        **{t: count(e for e in full if e["task"] == t) for t in SMALL},
        "fetched": round(fetched),
    }


def main(out, base="t4"):
    """Count all lessons under a profile."""
    os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        hub = write_hub(Path(folder) / "hub", tiny=True)
        for path in sorted((ROOT / "notebooks" / "en").glob("0[1-6]*.ipynb")):
            rows.append(lesson(path, hub, base, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
        hub.stop()
    write_atomically(out, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "work.json", help="where the counts go")
    main(parser.parse_args().out)
