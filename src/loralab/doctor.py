"""What could go wrong on this machine, and what to do about it: each check decides from loralab.facts alone."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from loralab.data.assets import assets
from loralab.experiment import Experiment
from loralab.facts import Facts, experiments, hub_assets, read_facts
from loralab.messages import gibibytes, message, number, percent

# What loads torch or pandas is imported where a fact or a check needs it: where that is broken, the others still tell.
if TYPE_CHECKING:
    from loralab.train.hardware import Device

LEAST_PYTHON = (3, 11)
# Bytes of disk: embedded assets while they are unpacked, and allowances for a data set of the hub and for what a run
# keeps beside its checkpoints.
EMBEDDED, HUB_DATA, KEPT = 0.7e9, 0.5e9, 1e9
# Allowed for a model whose configuration is not at hand: the course's other models have fewer.
ALLOWED_PARAMETERS = 150_000_000
CHECKPOINTS = 3  # of a run: two are kept, and the oldest is removed once the newest is there
VARIABLES = {"cache": "LORALAB_CACHE", "hub": "HF_HOME", "results": "LORALAB_RESULTS"}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's. `level` is "ok", "warn" or "fail"; `remedy` is empty where there is nothing to do."""

    check: str
    level: str
    text: str
    remedy: str = ""


@lru_cache(maxsize=8)
def parameters(experiment: Experiment, missing: tuple[str, ...]) -> int:
    """The model's parameters, counted if its configuration is at hand; else an allowance. Fetches nothing."""
    from loralab.train.models import empty_model

    row = assets("model")[experiment.model]
    if "config" not in row and ("package" not in row or experiment.model in missing):
        return ALLOWED_PARAMETERS
    return sum(parameter.numel() for parameter in empty_model(experiment).parameters())


def largest(facts: Facts) -> Experiment:
    """The experiment that trains the most parameters."""
    full = {e.model: e for e in experiments(facts.profile) if e.method == "full"}
    return max(full.values(), key=lambda e: parameters(e, facts.missing))


def disk_needs(facts: Facts) -> dict[str, float]:
    """Bytes that are still to be written to each folder, at most."""
    wanted, trained = experiments(facts.profile), largest(facts)
    from_hub, by_model = hub_assets(wanted), {e.model: e for e in wanted}
    weights = [4.0 * parameters(by_model[name], ()) for name in from_hub["model"] if name not in facts.cached]
    checkpoint = 12.0 * parameters(trained, facts.missing)  # weights and AdamW's two averages
    return {
        "cache": EMBEDDED if facts.missing else 0.0,
        "hub": sum(weights) + HUB_DATA * len(from_hub["dataset"]),
        "results": checkpoint * min(trained.epochs, CHECKPOINTS) + KEPT,
    }


def found(level: str, text: str, remedy: str = "", **values: object) -> Finding:
    """A finding in the language in force, from the keys of its text and its remedy; `diagnose` names the check."""
    texts = [message(f"doctor_{key}", **values) if key else "" for key in (text, remedy)]
    return Finding("", level, *texts)


def gigabytes(size: float) -> str:
    """A size in GB, as disks are sold."""
    return number(size / 1e9, 1)


def capability(device: "Device") -> str:
    """A GPU's compute capability as NVIDIA writes it, such as 7.5."""
    return ".".join(map(str, device.capability or ()))


def release(version: str) -> tuple[int, ...]:
    """A version's numbers, as they compare: (2, 13, 0) of "2.13.0+cpu"."""
    return tuple(map(int, re.findall(r"\d+", re.split(r"[^\d.]", version)[0])))


def check_python(facts: Facts) -> Iterator[Finding]:
    """Is Python recent enough?"""
    told = ("fail", "python_old", "python_remedy") if facts.python < LEAST_PYTHON else ("ok", "python_ok")
    yield found(*told, version=".".join(map(str, facts.python)))


def check_packages(facts: Facts) -> Iterator[Finding]:
    """Is each requirement there, and recent enough? One line if so, else one for each that is not."""
    unmet = False
    for requirement in facts.requirements:
        name, _, least = requirement.partition(">=")
        installed = facts.installed.get(name)
        if installed is None or release(installed) < release(least):
            unmet, problem = True, "packages_missing" if installed is None else "packages_old"
            values = {"name": name, "installed": installed, "least": least, "requirement": requirement}
            yield found("fail", problem, "packages_remedy", **values)
    if not unmet:
        yield found("ok", "packages_ok", count=len(facts.requirements))


def check_device(facts: Facts) -> Iterator[Finding]:
    """What will train, and with which torch? Is there a GPU that torch does not see?"""
    device, (version, build, driver) = facts.device, facts.torch
    built = message("doctor_built", build=build, driver=driver or "–") if build else ""
    values = {"torch": version + built, "device": device.name, "memory": gibibytes(device.memory, 0)}
    if device.kind == "cuda":
        yield found("ok", "device_gpu", capability=capability(device), **values)
    elif facts.gpus:
        yield found("warn", "device_unseen", "device_remedy", gpus=", ".join(facts.gpus), **values)
    else:
        yield found("ok", "device_cpu", **values)


def check_gpus(facts: Facts) -> Iterator[Finding]:
    """Do GPUs stand idle? Says nothing if not."""
    if len(facts.gpus) > 1 and facts.device.kind == "cuda":
        yield found("warn", "gpus_idle", "gpus_remedy", count=len(facts.gpus))


def check_torchao(facts: Facts) -> Iterator[Finding]:
    """Is there a torchao with which peft raises as soon as it makes a LoRA layer?"""
    told = ("fail", "torchao_old", "torchao_remedy") if facts.torchao else ("ok", "torchao_ok")
    yield found(*told, error=facts.torchao)


def check_profile(facts: Facts) -> Iterator[Finding]:
    """Is there such a profile, and can its data be used?"""
    if isinstance(facts.profile, str):
        yield Finding("", "fail", facts.profile, message("doctor_profile_remedy"))
    else:
        yield found("ok", "profile_ok", name=facts.profile.name)


def check_precision(facts: Facts) -> Iterator[Finding]:
    """Which precision will be chosen, and why? Can the device do what the profile asks for?"""
    from loralab.train.hardware import precisions, resolve

    device, wanted = facts.device, experiments(facts.profile)
    try:
        resolved = [resolve(e, device) for e in wanted]
    except ValueError as error:
        yield Finding("", "fail", str(error), message("doctor_precision_remedy"))
        return
    chosen = sorted({e.precision for e in resolved if "precision" in e.identity()})
    reasons = {"fp16": "why_fp16", "bf16": "why_bf16", "fp32": "why_cpu" if device.kind == "cpu" else "why_old"}
    automatic = any(e.precision == "auto" for e in wanted)
    why = reasons[precisions(device)[-1]] if automatic else "why_fixed"
    yield found("ok", why, precision=", ".join(chosen), device=device.name, capability=capability(device))


def check_memory(facts: Facts) -> Iterator[Finding]:
    """Does the largest experiment fit?"""
    from loralab.memory.fitting import ROOM

    trained, memory = largest(facts), facts.device.memory
    need = peak_bytes(trained, facts)
    values = {"model": trained.model, "need": gibibytes(need, 1), "memory": gibibytes(memory, 0)}
    if not memory:
        yield found("warn", "memory_unknown", **values)
    elif need > memory:
        yield found("fail", "memory_short", "memory_remedy", **values)
    elif need > ROOM * memory:
        yield found("warn", "memory_ok", "memory_tight", spare=percent(1 - ROOM, 0), **values)
    else:
        yield found("ok", "memory_ok", **values)


def peak_bytes(experiment: Experiment, facts: Facts) -> float:
    """What full fine-tuning takes at its peak, by plan if the model's configuration is at hand; else what is certain.

    That is 16 bytes a parameter, of an allowance: a weight, its gradient and AdamW's two averages.
    """
    from loralab.memory.fitting import able
    from loralab.memory.planning import plan

    if parameters(experiment, facts.missing) == ALLOWED_PARAMETERS:
        return 16 * ALLOWED_PARAMETERS
    # What the device cannot compute in is another check's to say.
    asked = experiment if able(experiment, facts.device) else experiment.but(precision="auto")
    return plan(asked, facts.device).peak


def check_disk(name: str, facts: Facts) -> Iterator[Finding]:
    """Can a folder be written, if there is need, and does its disk have room for all that goes there?"""
    folder, needs = facts.folders[name], disk_needs(facts)
    total = sum(needs[other] for other, its in facts.folders.items() if its.disk == folder.disk)
    values = {"path": folder.path, "variable": VARIABLES[name], "free": gigabytes(folder.free)}
    values |= {"need": gigabytes(needs[name]), "total": gigabytes(total)}
    if not needs[name]:
        yield found("ok", "disk_unneeded", **values)
    elif not folder.writable:
        yield found("fail", "disk_read_only", "disk_elsewhere", **values)
    elif total > folder.free:
        yield found("fail", "disk_full", "disk_remedy", **values)
    else:
        yield found("ok", "disk_ok", **values)


def check_assets(facts: Facts) -> Iterator[Finding]:
    """Are the embedded weights and data there?"""
    told = ("warn", "assets_missing", "assets_remedy") if facts.missing else ("ok", "assets_ok")
    yield found(*told, names=", ".join(facts.missing))


def check_hub(facts: Facts) -> Iterator[Finding]:
    """Does the hub answer, if the profile needs it?"""
    if facts.silence is None:
        yield found("ok", "hub_unneeded")
    elif not facts.silence:
        yield found("ok", "hub_answers", host=facts.hub)
    else:
        models = hub_assets(experiments(facts.profile))["model"]
        level, remedy = ("warn", "hub_cached") if set(models) <= set(facts.cached) else ("fail", "hub_remedy")
        yield found(level, "hub_silent", remedy, host=facts.hub, error=facts.silence)


def check_token(facts: Facts) -> Iterator[Finding]:
    """Is there a key for the hub, if a model is gated? Of the key nothing is shown."""
    models = hub_assets(experiments(facts.profile))["model"]
    gated = [row["hub"] for name, row in models.items() if row.get("gated") and name not in facts.cached]
    values = {"models": ", ".join(gated)}
    if not gated:
        yield found("ok", "token_there" if facts.token else "token_unneeded")
    elif facts.token:
        yield found("ok", "token_gated", **values)
    else:
        yield found("fail", "token_missing", "token_remedy", **values)


# Each check, and the facts without which it cannot be carried out.
CHECKS: dict[str, tuple[Callable[[Facts], Iterator[Finding]], tuple[str, ...]]] = {
    "python": (check_python, ("python",)),
    "packages": (check_packages, ("requirements", "installed")),
    "device": (check_device, ("device", "torch", "gpus")),
    "gpus": (check_gpus, ("device", "gpus")),
    "torchao": (check_torchao, ("torchao",)),
    "profile": (check_profile, ("profile",)),
    "precision": (check_precision, ("device", "profile")),
    "memory": (check_memory, ("device", "profile", "missing")),
    **{f"disk_{name}": (partial(check_disk, name), ("folders", "profile", "missing", "cached")) for name in VARIABLES},
    "assets": (check_assets, ("missing",)),
    "hub": (check_hub, ("hub", "silence", "profile", "cached")),
    "token": (check_token, ("token", "profile", "cached")),
}


def diagnose(facts: Facts) -> list[Finding]:
    """What each check finds, in order. One that cannot be carried out is a warning with the reason."""
    findings = []
    for name, (check, needed) in CHECKS.items():
        try:
            reasons = [facts.unread[fact] for fact in needed if fact in facts.unread]
            told = [found("warn", "not_checked", reason=reasons[0])] if reasons else list(check(facts))
        except Exception as error:  # of this check alone: the next ones still tell
            told = [found("warn", "not_checked", reason=f"{type(error).__name__}: {error}")]
        findings += [replace(finding, check=name) for finding in told]
    return findings


def doctor(as_json: bool) -> int:
    """Print a line for each finding, or all as JSON; 1 if something failed, else 0."""
    with redirect_stdout(sys.stderr):  # what reading the student's own data says is none of the findings
        findings = diagnose(read_facts())
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        for finding in findings:
            print(f"[{finding.level}] {message(f'doctor_{finding.check}')}: {finding.text} {finding.remedy}".rstrip())
    return int(any(finding.level == "fail" for finding in findings))
