"""What could go wrong on this machine, and what to do. Only checks import torch: if one cannot, the others tell."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import huggingface_hub  # which loads its parts when they are asked for

from loralab.data.assets import AssetError, assets, cache_dir, damaged_files, folder_name
from loralab.experiment import Experiment
from loralab.messages import gibibytes, message, number, percent

# Bytes of disk: embedded assets while unpacked, the hub's data or a model's other files, what all lessons' runs leave.
EMBEDDED, BESIDE_WEIGHTS, KEPT = 0.7e9, 0.5e9, 2e9
ALLOWED = 16 * 150_000_000  # for an embedded model in training that is not there to be counted: both take less
Told = Iterator[tuple[str, str, str]]  # a level ("ok", "warn" or "fail"), what is found, and the remedy where needed


def experiments() -> list[Experiment]:
    """The profile in force: full fine-tuning and LoRA, in both tracks. Raises ValueError if it cannot be used."""
    from loralab.lessons.start import chosen_profile

    profile = chosen_profile()
    return [track.experiment(method) for track in (profile, profile.generation) for method in ("full", "lora")]


def to_download() -> dict[str, dict[str, Any]]:
    """The hub's models that the profile needs and that are not in the hub's cache, and its data sets: assets' rows."""
    from loralab.data.hub import model_row

    asked, known = experiments(), assets("dataset")  # data of one's own were read when the profile was
    rows = {e.dataset: known.get(e.dataset, {}) for e in asked} | {e.model: model_row(e.model) for e in asked}
    rows = {name: {"kind": "model"} | row for name, row in rows.items() if "hub" in row and "place" not in row}
    load = huggingface_hub.try_to_load_from_cache  # a path if it is there; a data set has no such file
    # Configuration and tokenizer may have been fetched without the weights.
    found = {name: load(row["hub"], "config.json", revision=row["revision"]) for name, row in rows.items()}
    paths = {name: Path(path) for name, path in found.items() if isinstance(path, str)}
    whole = {name for name, path in paths.items() if any(path.parent.glob("*.safetensors"))}
    return {name: row for name, row in rows.items() if name not in whole}


def missing() -> list[str]:
    """The embedded assets that are not in the course's cache, or not as they were unpacked."""
    rows = {name: row for name, row in (assets("model") | assets("dataset")).items() if "package" in row}
    folders = {name: cache_dir() / folder_name(row) for name, row in rows.items()}
    return [name for name, folder in folders.items() if not folder.is_dir() or damaged_files(folder)]


def trained_bytes() -> dict[Experiment, int]:
    """What full fine-tuning of each model takes, whatever the batch: 16 bytes a parameter. No weights are fetched."""
    from loralab.train.models import least_bytes

    return {e: ALLOWED if e.model in missing() else least_bytes(e) for e in experiments() if e.method == "full"}


def check_requirements() -> Told:
    """Are packages, weights and data there? Does a torchao stand in peft's way?"""
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    lines = (checked.stdout or checked.stderr).splitlines()
    if unmet := [line for line in lines if line.startswith("loralab ") or "No module named pip" in line]:
        yield "fail", " ".join(unmet), message("doctor_packages_remedy")
    else:
        yield "ok", message("doctor_packages_ok", python=sys.version.split()[0], loralab=version("loralab")), ""
    if absent := missing():
        yield "warn", message("doctor_assets_missing", names=", ".join(absent)), message("doctor_assets_remedy")
    else:
        yield "ok", message("doctor_assets_ok"), ""
    from peft.import_utils import is_torchao_available

    try:
        is_torchao_available()  # as LoRA's first layer asks: looks at its version, and does not import it
    except ImportError as error:
        yield "fail", message("doctor_torchao", error=error), message("doctor_torchao_remedy")


def check_device() -> Told:
    """What will train, and with which torch? Are there GPUs that torch does not see, or that stand idle?"""
    import torch

    from loralab.train.hardware import detect

    device = detect()
    yield "ok", message("doctor_torch", torch=torch.__version__, device=device.name, size=gibibytes(device.memory)), ""
    gpus = re.findall(r"^GPU \d+: (.+?) \(UUID", subprocess.getoutput("timeout 5 nvidia-smi -L"), re.MULTILINE)
    if gpus and device.kind == "cpu":
        yield "warn", message("doctor_gpu_unseen", gpus=", ".join(gpus)), message("doctor_gpu_unseen_remedy")
    elif len(gpus) > 1:
        yield "warn", message("doctor_gpus_idle", count=len(gpus)), message("doctor_gpus_idle_remedy")


def check_profile() -> Told:
    """Can the profile be used, and in which precision will it train, and why?"""
    from loralab.train.hardware import detect, resolve

    device = detect()
    try:
        asked = experiments()
        precisions = ", ".join(sorted({resolve(experiment, device).precision for experiment in asked}))
    except (ValueError, AssetError) as error:
        yield "fail", str(error), message("doctor_profile_remedy")
        return
    key = "doctor_precision_cpu" if device.capability is None else "doctor_precision_gpu"
    if all(experiment.precision != "auto" for experiment in asked):
        key = "doctor_precision_fixed"
    why = message(key, device=device.name, capability=".".join(map(str, device.capability or ())))
    yield "ok", f"{asked[0].profile}, {precisions}. {why}", ""


def check_memory() -> Told:
    """Does the largest experiment fit?"""
    from loralab.memory.fitting import ROOM
    from loralab.memory.measurement import found_on_gpu
    from loralab.memory.planning import plan
    from loralab.train.hardware import detect

    sizes, device = trained_bytes(), detect()
    largest = max(sizes, key=sizes.__getitem__)
    need = sizes[largest] if largest.model in missing() else plan(largest, device).peak
    level = "ok" if need <= ROOM * device.memory else "fail" if need > device.memory > 0 else "warn"
    memory = gibibytes(device.memory, 0) if device.memory else "?"
    text = message("doctor_memory_need", model=largest.model, need=gibibytes(need, 1), memory=memory)
    if device.kind == "cuda":
        found = found_on_gpu()
        text += message("doctor_memory_gpu", **found | {"below": percent(found["below"])})
    yield level, text, "" if level == "ok" else message("doctor_memory_remedy")


def check_disk() -> Told:
    """Can each folder be written that has to be, and does its disk have room for all that goes there?"""
    from loralab.train.run import results_dir

    sizes, downloads = trained_bytes(), to_download()
    weights = sum(size / 4 for experiment, size in sizes.items() if experiment.model in downloads)
    # Three checkpoints, as the oldest goes once the newest is there: weights and AdamW's two averages, no gradients.
    checkpoints = max(size * 3 / 4 * min(e.epochs, 3) for e, size in sizes.items())
    apart = os.environ.get("LORALAB_CHECKPOINTS")
    folders = {
        "LORALAB_CACHE": (cache_dir().absolute(), EMBEDDED if missing() else 0),
        "HF_HOME": (Path(huggingface_hub.constants.HF_HUB_CACHE), weights + BESIDE_WEIGHTS * len(downloads)),
        "LORALAB_RESULTS": (results_dir().absolute(), KEPT if apart else checkpoints + KEPT),
    } | ({"LORALAB_CHECKPOINTS": (Path(apart).absolute(), checkpoints)} if apart else {})
    there = {name: next(p for p in (path, *path.parents) if p.exists()) for name, (path, _) in folders.items()}
    for name, (path, need) in folders.items():
        free, disk = shutil.disk_usage(there[name]).free, there[name].stat().st_dev
        total = sum(other for it, (_, other) in folders.items() if there[it].stat().st_dev == disk)
        values = {"free": number(free / 1e9, 1), "need": number(need / 1e9, 1), "total": number(total / 1e9, 1)}
        text, remedy = message("doctor_disk_room", path=path, **values), message("doctor_disk_remedy", variable=name)
        if need and not (there[name].is_dir() and os.access(there[name], os.W_OK)):
            yield "fail", message("doctor_disk_read_only", path=path), remedy
        elif need and total > free:
            yield "fail", text, remedy
        else:
            yield "ok", text, ""


def check_hub() -> Told:
    """Does the hub answer if the profile needs it, and is there a key if a model is gated? The key is never shown."""
    downloads, host = to_download().values(), huggingface_hub.constants.ENDPOINT
    if not downloads:
        yield "ok", message("doctor_hub_unneeded"), ""
        return
    try:
        huggingface_hub.get_session().head(host, timeout=5)
        yield "ok", message("doctor_hub_answers", host=host), ""
    except Exception as error:  # those of several network stacks
        text = message("doctor_hub_silent", host=host, error=error)
        models = any(row["kind"] == "model" for row in downloads)
        yield ("fail", text, message("doctor_hub_remedy")) if models else ("warn", text, message("doctor_hub_cached"))
    if gated := ", ".join(row["hub"] for row in downloads if row.get("gated")):
        if huggingface_hub.get_token():
            yield "ok", message("doctor_token_there", models=gated), ""
        else:
            yield "fail", message("doctor_token_missing", models=gated), message("doctor_token_remedy", models=gated)


CHECKS: dict[str, tuple[str, Callable[[], Told]]] = {  # each with the key of its title
    "requirements": ("doctor_requirements", check_requirements),
    "device": ("doctor_device", check_device),
    "profile": ("doctor_profile", check_profile),
    "memory": ("doctor_memory", check_memory),
    "disk": ("doctor_disk", check_disk),
    "hub": ("doctor_hub", check_hub),
}


def doctor() -> int:
    """Print a line for each finding; 1 if something failed, else 0."""
    failed = False
    for title, check in CHECKS.values():
        lines: list[tuple[str, str, str]] = []
        try:
            with redirect_stdout(sys.stderr):  # what reading the student's own data says is none of the findings
                lines.extend(check())
        except Exception as error:  # a check that cannot be carried out does not stop the others
            lines.append(("warn", message("doctor_not_checked", error=error), ""))
        for level, text, remedy in lines:
            print(f"[{level}] {message(title)}: {text} {remedy}".rstrip())
            failed = failed or level == "fail"
    return int(failed)
