"""What the doctor says of machines that we do not have, and of the one that the tests run on."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from loralab.__main__ import main
from loralab.data.assets import assets, fetch
from loralab.doctor import (
    ALLOWED_PARAMETERS,
    CHECKS,
    EMBEDDED,
    diagnose,
    parameters,
)
from loralab.facts import Facts, Folder, read_facts
from loralab.messages import MESSAGES, set_language
from loralab.profiles import load_profile
from loralab.train.hardware import Device

GIB = 2**30
TOKEN = "hf_thisMustBeSeenByNobody0123456789"
CUDA = ("2.11.0+cu126", "12.6", "12.4")


def folders(free=100e9, writable=True, disks=(1, 1, 1)):
    names = ("cache", "hub", "results")
    return {name: Folder(f"/home/ana/{name}", free, disk, writable) for name, disk in zip(names, disks, strict=True)}


def machine(device, profile, **changes):
    facts = Facts(
        python=(3, 12, 3),
        requirements=("numpy>=2.0", "peft>=0.20"),
        installed={"numpy": "2.0.2", "peft": "0.20.0"},
        torch=CUDA if device.kind == "cuda" else ("2.13.0+cpu", None, None),
        device=device,
        gpus=(device.name,) if device.kind == "cuda" else (),
        profile=load_profile(profile),
        folders=folders(),
        hub="huggingface.co",
        silence=None if profile == "cpu" else "",
    )
    return replace(facts, **changes)


CPU = machine(Device("cpu", "2 × CPU", 24 * GIB), "cpu")
T4 = machine(Device("cuda", "Tesla T4", int(14.7 * GIB), (7, 5)), "t4")
A100 = machine(Device("cuda", "A100", 80 * GIB, (8, 0)), "large", token=True, folders=folders(400e9))


def told(facts, check):
    """One check's lines as (level, text, remedy)."""
    examine, _ = CHECKS[check]
    return [(f.level, f.text, f.remedy) for f in examine(facts)]


@pytest.mark.parametrize("facts", [CPU, T4, A100], ids=["cpu", "t4", "a100"])
def test_a_machine_with_nothing_wrong(facts):
    findings = diagnose(facts)
    assert {f.level for f in findings} == {"ok"} and not any(f.remedy for f in findings)
    silent = {"gpus"}
    assert [f.check for f in findings] == [check for check in CHECKS if check not in silent]


# The facts, and what a check says of them: its level, a part of its text, a part of its remedy ("" if there is none).
BOTH = ("distilbert-base-uncased", "qwen2.5-0.5b")
READ_ONLY = folders(writable=False)
CASES = {
    "old Python": (
        replace(CPU, python=(3, 10, 14)),
        ("python", "fail", "3.10.14, and the course needs 3.11", "make setup PYTHON=python3.12"),
    ),
    "old peft": (
        replace(CPU, installed={"numpy": "2.0.2", "peft": "0.19.1"}),
        ("packages", "fail", "peft 0.19.1 is too old: 0.20 or newer", '`python -m pip install "peft>=0.20"`'),
    ),
    "no peft": (
        replace(CPU, installed={"numpy": "2.0"}),
        ("packages", "fail", "peft is missing", '`python -m pip install "peft>=0.20"`'),
    ),
    "versions compare as numbers": (
        replace(CPU, requirements=("peft>=0.9",), installed={"peft": "0.20.0.dev0"}),
        ("packages", "ok", "all 1 that are needed", ""),
    ),
    "any version": (replace(CPU, requirements=("peft",)), ("packages", "ok", "all 1 that are needed", "")),
    "CPU": (CPU, ("device", "ok", "torch 2.13.0+cpu; 2 × CPU, 24 GiB.", "")),
    "T4": (
        T4,
        ("device", "ok", "CUDA 12.6; the driver goes up to 12.4); Tesla T4, 15 GiB, compute capability 7.5", ""),
    ),
    "torch without CUDA": (
        replace(CPU, gpus=("Tesla T4",)),
        ("device", "warn", "there is a GPU (Tesla T4), but torch 2.13.0+cpu does not see it", "driver's CUDA"),
    ),
    "two GPUs": (
        replace(T4, gpus=("Tesla T4", "Tesla T4")),
        ("gpus", "warn", "there are 2 and one is used", "`accelerate launch -m loralab run`"),
    ),
    "torchao 0.10": (
        replace(T4, torchao="Found version 0.10.0"),
        ("torchao", "fail", "(Found version 0.10.0)", "`python -m pip uninstall -y torchao`"),
    ),
    "unknown profile": (
        replace(CPU, profile="profile cannot be 'gpu'. Choose one of: smoke, cpu."),
        ("profile", "fail", "Choose one of: smoke, cpu.", "LORALAB_PROFILE"),
    ),
    "precision, fixed": (CPU, ("precision", "ok", "fp32. The profile fixes it", "")),
    "precision on a CPU": (replace(CPU, profile=T4.profile), ("precision", "ok", "fp32. On a CPU", "")),
    "precision on a T4": (T4, ("precision", "ok", "fp16. Tesla T4 (capability 7.5) has units for `fp16` and none", "")),
    "precision on a P100": (
        replace(T4, device=Device("cuda", "P100", 16 * GIB, (6, 0))),
        ("precision", "ok", "fp32. P100 (capability 6.0) has no units", ""),
    ),
    "precision on an A100": (A100, ("precision", "ok", "A100 (capability 8.0) has units for `bf16`", "")),
    "weights in bf16 on a T4": (
        replace(A100, device=T4.device),
        ("precision", "fail", "Tesla T4", "LORALAB_PROFILE"),
    ),
    # SmolLM2: 12 bytes for each of 134,515,008 parameters are 1.5 GiB; activations and logits of 4 × 256 tokens.
    "memory": (CPU, ("memory", "ok", "(smollm2-135m, full) is going to take up to 3.5 GiB, by plan; there are 24", "")),
    "4 GB": (
        replace(CPU, device=Device("cpu", "2 × CPU", 4 * GIB)),
        ("memory", "ok", "there are 4.", ""),
    ),
    "3.6 GB": (
        replace(CPU, device=Device("cpu", "2 × CPU", int(3.6 * GIB))),
        ("memory", "warn", "up to 3.5 GiB", "Less than 10% is left"),
    ),
    # Qwen2.5-0.5B: 16 × 494,032,768.
    "4 GB and profile t4": (
        replace(T4, device=Device("cpu", "2 × CPU", 4 * GIB)),
        ("memory", "fail", "(qwen2.5-0.5b, full) needs 9.9 GiB, by plan", "LoRA experiments alone"),
    ),
    # Gemma 3: 4 bytes for each of 4.300 billion parameters, 12 more for each of the 3.880 billion that read text.
    "gemma on an L4": (
        replace(A100, device=Device("cuda", "L4", 22 * GIB, (8, 9))),
        ("memory", "fail", "(gemma-3-4b, full) needs 64.4 GiB, by plan", "smaller profile"),
    ),
    "memory unknown": (
        replace(CPU, device=Device("cpu", "CPU", 0)),
        ("memory", "warn", "this system does not say how much there is", ""),
    ),
    "assets to fetch": (
        replace(CPU, missing=("minilm-l6", "film-reviews")),
        ("assets", "warn", "not in the cache yet: minilm-l6, film-reviews", "`python -m loralab assets`"),
    ),
    "room for assets": (
        replace(CPU, missing=("film-reviews",)),
        ("disk_cache", "ok", "100.0 GB free in `/home/ana/cache`; 0.7 are needed", ""),
    ),
    "nothing to fetch": (
        replace(CPU, folders=READ_ONLY),
        ("disk_cache", "ok", "nothing has to be written to `/home/ana/cache`", ""),
    ),
    "read-only home, cache": (
        replace(T4, folders=READ_ONLY, missing=("film-reviews",)),
        ("disk_cache", "fail", "`/home/ana/cache` cannot be written to", "`LORALAB_CACHE`"),
    ),
    "read-only home, hub": (
        replace(T4, folders=READ_ONLY),
        ("disk_hub", "fail", "`/home/ana/hub` cannot be written to", "`HF_HOME`"),
    ),
    "read-only home, results": (
        replace(T4, folders=READ_ONLY),
        ("disk_results", "fail", "`/home/ana/results` cannot be written to", "`LORALAB_RESULTS`"),
    ),
    # In fp32: 4 × (66,955,010 + 494,032,768) bytes, and 0.5 GB for IMDB.
    "models to download": (T4, ("disk_hub", "ok", "`/home/ana/hub`; 2.7 are needed", "")),
    "models in the cache": (replace(T4, cached=BOTH), ("disk_hub", "ok", "`/home/ana/hub`; 0.5 are needed", "")),
    # Three checkpoints of 12 × 494,032,768 bytes, and 1 GB.
    "checkpoints": (
        replace(T4, folders=folders(13e9, disks=(1, 2, 3))),
        ("disk_results", "ok", "13.0 GB free in `/home/ana/results`; 12.9 are needed at most", ""),
    ),
    "one disk for all": (
        replace(T4, folders=folders(13e9)),
        ("disk_results", "fail", "12.9 are needed, and 15.6 with all that goes to that disk", "`LORALAB_RESULTS`"),
    ),
    "hub not needed": (CPU, ("hub", "ok", "not needed by this profile", "")),
    "hub": (T4, ("hub", "ok", "huggingface.co answers", "")),
    "no network": (
        replace(T4, silence="ConnectError: refused"),
        ("hub", "fail", "does not answer (ConnectError: refused)", "`LORALAB_PROFILE=cpu`"),
    ),
    "no network, models there": (
        replace(T4, silence="timed out", cached=BOTH),
        ("hub", "warn", "does not answer (timed out)", "The models are in its cache"),
    ),
    "no key": (T4, ("token", "ok", "there is none, and this profile does not need one", "")),
    "a key": (replace(T4, token=True), ("token", "ok", "there is one, and this profile does not need it", "")),
    "a key for gemma": (A100, ("token", "ok", "whether it has access to google/gemma-3-4b-it", "")),
    "no key for gemma": (
        replace(A100, token=False),
        ("token", "fail", "google/gemma-3-4b-it is gated", "https://huggingface.co/google/gemma-3-4b-it"),
    ),
    "gemma in the cache": (
        replace(A100, token=False, cached=("gemma-3-4b",)),
        ("token", "ok", "this profile does not need one", ""),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_case(case):
    facts, (check, level, text, remedy) = CASES[case]
    ((found_level, found_text, found_remedy),) = told(facts, check)
    assert found_level == level and text in found_text
    assert remedy in found_remedy and bool(remedy) == bool(found_remedy)


def test_bf16_asked_for_where_there_is_none(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "t4"\nprecision = "bf16"\n', encoding="utf-8")
    own = load_profile(str(path))
    ((level, text, remedy),) = told(replace(T4, profile=own), "precision")
    assert level == "fail" and "'bf16 (Tesla T4)'" in text and 'precision = "auto"' in remedy
    assert told(replace(T4, profile=own, device=A100.device), "precision")[0][0] == "ok"


def test_each_package_that_is_wanting_has_its_line():
    lines = told(replace(CPU, installed={"numpy": "1.26.4"}), "packages")
    assert [(level, text.split()[0]) for level, text, _ in lines] == [("fail", "numpy"), ("fail", "peft")]


def test_what_could_not_be_read_concerns_its_own_checks():
    findings = diagnose(replace(T4, unread={"folders": "OSError: no such disk"}))
    warned = {f.check for f in findings if f.level == "warn"}
    assert warned == {"disk_cache", "disk_hub", "disk_results"}
    assert all("OSError: no such disk" in f.text for f in findings if f.check in warned)
    assert {f.level for f in findings if f.check not in warned} == {"ok"}


def test_without_a_profile_the_checks_that_need_none_still_tell():
    findings = diagnose(replace(CPU, profile="profile cannot be 'gpu'."))
    assert {f.check for f in findings if f.level == "ok"} == {
        "python",
        "packages",
        "device",
        "torchao",
        "assets",
        "hub",
    }
    assert [f.check for f in findings if f.level == "fail"] == ["profile"]
    assert all("there is no profile" in f.text for f in findings if f.level == "warn")


def test_every_check_speaks_both_languages():
    english = {f.check: f.text for facts in (CPU, T4, A100) for f in diagnose(facts)}
    set_language("es")
    spanish = {f.check: f.text for facts in (CPU, T4, A100) for f in diagnose(facts)}
    assert {check for check in english if english[check] == spanish[check]} == {"python", "profile"}
    assert all(f"doctor_{check}" in MESSAGES for check in CHECKS)


def test_what_is_there_is_not_missing_and_fits_what_is_allowed_for_it():
    kept = [fetch(row) for row in (assets("model") | assets("dataset")).values() if "package" in row]
    assert sum(path.stat().st_size for folder in kept for path in folder.iterdir()) < EMBEDDED
    assert read_facts().missing == ()


def test_the_allowance_is_enough_for_models_that_cannot_be_counted():
    for experiment in (CPU.profile.experiment("full"), CPU.profile.generation.experiment("full")):
        assert parameters(experiment, ()) < ALLOWED_PARAMETERS == parameters(experiment, (experiment.model,))
    missing = told(replace(CPU, missing=("minilm-l6", "smollm2-135m")), "memory")
    assert missing[0][0] == "ok" and "2.2 GiB" in missing[0][1]  # 16 × 150 million


def doctor(*arguments, paths=(), **environment):
    """A real run: the exit code, what it printed, and what it wrote to stderr."""
    path = os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "loralab", "doctor", *arguments],
        env=os.environ | {"PYTHONPATH": path, "HF_TOKEN": TOKEN} | {k: str(v) for k, v in environment.items()},
        capture_output=True,
        text=True,
    )
    assert TOKEN not in done.stdout + done.stderr and TOKEN[-8:] not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_machine_with_much_wrong(tmp_path):
    fake = tmp_path / "torchao-0.10.0.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: torchao\nVersion: 0.10.0\n", encoding="utf-8")
    (fake / "RECORD").write_text("torchao/__init__.py,,\n", encoding="utf-8")
    (tmp_path / "torchao").mkdir()
    (tmp_path / "torchao" / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: GPU-1)'\necho 'GPU 1: Tesla T4 (UUID: GPU-2)'\n")
    smi.chmod(0o755)
    code, shown, _ = doctor(
        *("--language", "es"),
        paths=[tmp_path],
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        LORALAB_PROFILE="cpu",
        LORALAB_RESULTS=smi / "results",  # beneath a file nothing can be written, not even by root
    )
    assert code == 1
    lines = {line.split("] ")[1].split(":")[0]: line for line in shown.splitlines()}
    assert (
        lines["torchao"].startswith("[fail]") and "0.10.0" in lines["torchao"] and "pip uninstall" in lines["torchao"]
    )
    assert lines["Dispositivo"].startswith("[warn]") and "una GPU (Tesla T4, Tesla T4)" in lines["Dispositivo"]
    assert lines["Resultados"].startswith("[fail]") and "`LORALAB_RESULTS`" in lines["Resultados"]
    assert lines["Memoria"].startswith("[ok]") and "3,5 GiB" in lines["Memoria"]
    assert lines["Clave del Hub"] == "[ok] Clave del Hub: hay una, y este perfil no la necesita."


class Hub(BaseHTTPRequestHandler):
    """A hub that answers, with nothing in it."""

    def do_HEAD(self):
        self.send_response(404)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_json_says_the_same(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    places = {"LORALAB_RESULTS": tmp_path / "results", "HF_HOME": tmp_path / "hub"}
    endpoint = f"http://127.0.0.1:{server.server_port}"
    code, shown, _ = doctor("--json", "--language", "es", LORALAB_PROFILE="large", HF_ENDPOINT=endpoint, **places)
    server.shutdown()
    findings = json.loads(shown)
    assert all(list(finding) == ["check", "level", "text", "remedy"] for finding in findings)
    assert code == any(finding["level"] == "fail" for finding in findings)
    said = {finding["check"]: finding for finding in findings}
    assert said["hub"]["level"] == "ok" and "127.0.0.1 responde" in said["hub"]["text"]
    assert "gemma-3-4b, completo" in said["memory"]["text"]
    assert not (tmp_path / "results").exists() and not (tmp_path / "hub").exists()  # it leaves nothing behind


def test_a_broken_torch_leaves_the_other_checks_alone(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12 not found')", encoding="utf-8")
    code, shown, _ = doctor("--json", paths=[tmp_path], LORALAB_PROFILE="cpu")
    said = {finding["check"]: finding for finding in json.loads(shown)}
    assert {said[check]["level"] for check in ("python", "packages", "assets")} == {"ok"}
    assert said["device"]["level"] == "warn" and "libcudart.so.12 not found" in said["device"]["text"]
    assert code == 0


def test_here_without_a_network(monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("LORALAB_PROFILE", "t4")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert main(["doctor"]) == 1
    shown = capsys.readouterr()
    assert "[fail] Hugging Face Hub: 127.0.0.1 does not answer (ConnectError" in shown.out
    assert all(line.startswith(("[ok] ", "[warn] ", "[fail] ")) for line in shown.out.splitlines())
    assert TOKEN not in shown.out + shown.err


def test_an_unknown_profile_is_named_with_the_choices(monkeypatch, capsys):
    monkeypatch.setenv("LORALAB_PROFILE", "gpu")
    assert main(["doctor"]) == 1
    assert "[fail] Profile: profile cannot be 'gpu'. Choose one of: smoke, cpu" in capsys.readouterr().out


def test_it_is_importable_without_what_it_examines():
    code = "import sys, loralab.doctor; sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
