"""What the doctor says of machines that we do not have, and of the one that the tests run on."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from loralab import doctor as doctors
from loralab.__main__ import main
from loralab.data.assets import assets, fetch
from loralab.doctor import ALLOWED, CHECKS, EMBEDDED, KEPT, missing
from loralab.messages import set_language
from loralab.profiles import load_profile
from loralab.train import hardware
from loralab.train.hardware import Device
from loralab.train.models import least_bytes
from loralab.train.trainer import LONG

GIB = 2**30
TOKEN = "hf_thisMustBeSeenByNobody0123456789"
CPU = Device("cpu", "2 × CPU", 24 * GIB)
T4 = Device("cuda", "Tesla T4", int(14.7 * GIB), (7, 5))
A100 = Device("cuda", "A100", 80 * GIB, (8, 0))
BOTH = ("distilbert/distilbert-base-uncased", "Qwen/Qwen2.5-0.5B-Instruct")
GEMMA = "google/gemma-3-4b-it"
MINE = 'base = "t4"\nprecision = "bf16"\n'


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What a check says, or all, of a machine that is described: of one with nothing wrong, but for what is given."""

    def says(*checks, device=CPU, profile="cpu", gpus=(), pip="", free=400e9, writable=True, absent=(), cached=(),
             silence="", token=""):  # fmt: skip
        def head(host, timeout):
            if silence:
                raise ConnectionError(silence)

        monkeypatch.setattr(doctors, "cache_dir", lambda: tmp_path / "cache")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("LORALAB_PROFILE", profile)
        monkeypatch.setattr(hardware, "detect", lambda: device)
        listing = "\n".join(f"GPU {number}: {name} (UUID: GPU-{number})" for number, name in enumerate(gpus))
        monkeypatch.setattr(doctors.subprocess, "getoutput", lambda command: listing)
        monkeypatch.setattr(doctors.subprocess, "run", lambda *args, **_: SimpleNamespace(stdout=pip, stderr=""))
        monkeypatch.setattr(doctors.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
        monkeypatch.setattr(doctors.os, "access", lambda path, mode: writable)
        monkeypatch.setattr(doctors, "missing", lambda: list(absent))
        snapshots = tmp_path / "snapshots"
        for hub in (*BOTH, GEMMA):  # everything but the weights is there of all
            (snapshots / hub).mkdir(parents=True, exist_ok=True)
        for hub in cached:
            (snapshots / hub / "model-00001-of-00002.safetensors").touch()
        there = lambda hub, name, revision: str(snapshots / hub / name)  # noqa: E731
        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", there)
        monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
        monkeypatch.setattr(huggingface_hub, "get_session", lambda: SimpleNamespace(head=head))
        return [(check, *found) for check in checks or CHECKS for found in CHECKS[check][1]()]

    return says


MACHINES = [
    {},
    {"device": T4, "profile": "t4", "gpus": ["Tesla T4"]},
    {"device": A100, "profile": "large", "gpus": ["A100"], "token": TOKEN},
]


@pytest.mark.parametrize("facts", MACHINES, ids=["cpu", "t4", "a100"])
def test_a_machine_with_nothing_wrong_in_both_languages(told, facts):
    english = told(**facts)
    assert {level for _, level, _, _ in english} == {"ok"} and not any(remedy for *_, remedy in english)
    assert {check for check, *_ in english} == set(CHECKS)
    set_language("es")
    same = {check for check, *line in told(**facts) if (check, *line) in english}
    assert same <= {"device"}


# What is given, and what a check says of it that is not ok, or says last: its level, a part of its text, a part of its
# remedy ("" for none).
CASES = {
    "no pip": ({"pip": "python: No module named pip"}, "requirements", "fail", "No module named pip", "install"),
    "assets to fetch": (
        {"absent": ["minilm-l6", "film-reviews"]},
        "requirements", "warn", "not in the cache yet: minilm-l6, film-reviews", "`python -m loralab assets`",
    ),
    "a CPU": ({}, "device", "ok", f"torch {torch.__version__}; 2 × CPU, 24.00 GiB.", ""),
    "torch without CUDA": ({"gpus": ["Tesla T4"]}, "device", "warn", "does not see the GPU that is there (Te", "CUDA"),
    "two GPUs": (
        {"device": T4, "gpus": ["Tesla T4", "Tesla T4"]},
        "device", "warn", "there are 2 GPUs and one is used", "`accelerate launch -m loralab run`",
    ),
    "unknown profile": ({"profile": "gpu"}, "profile", "fail", "Choose one of: smoke, cpu", "LORALAB_PROFILE"),
    "precision, fixed": ({}, "profile", "ok", "cpu, fp32. The profile fixes", ""),
    "precision on a CPU": ({"profile": "t4"}, "profile", "ok", "t4, fp32. On a CPU", ""),
    "precision on a T4": ({"device": T4, "profile": "t4"}, "profile", "ok", "fp16. Tesla T4 has compute capab", ""),
    "precision on a P100": (
        {"device": Device("cuda", "P100", 16 * GIB, (6, 0)), "profile": "t4"},
        "profile", "ok", "t4, fp32. P100 has compute capability 6.0: units for `fp16` come with 7.0", "",
    ),
    "weights in bf16 on a T4": ({"device": T4, "profile": "large"}, "profile", "fail", "Tesla T4", "LORALAB_PROFILE"),
    "bf16 asked for where there is none": (
        {"device": T4, "profile": MINE}, "profile", "fail", "'bf16 (Tesla T4)'", 'precision = "auto"'
    ),
    "bf16 asked for where there is": ({"device": A100, "profile": MINE}, "profile", "ok", "mine, bf16. A100", ""),
    # SmolLM2: 12 bytes for each of 134,515,008 parameters are 1.5 GiB; activations and logits of 4 × 256 tokens.
    "memory": ({}, "memory", "ok", "(smollm2-135m, full) is going to take up to 3.5 GiB, by plan; there are 24", ""),
    "3.6 GB": ({"device": Device("cpu", "CPU", int(3.6 * GIB))}, "memory", "warn", "up to 3.5 GiB", "loralab plan"),
    # Qwen2.5-0.5B: 16 × 494,032,768.
    "4 GB": (
        {"device": Device("cpu", "CPU", 4 * GIB), "profile": "t4"},
        "memory", "fail", "(qwen2.5-0.5b, full) is going to take up to 9.9 GiB", "LoRA experiments alone",
    ),
    "memory unknown": ({"device": Device("cpu", "CPU", 0)}, "memory", "warn", "there are ?", "loralab plan"),
    "a GPU": (
        {"device": T4, "profile": "t4"}, "memory", "ok",
        "(By `make gpu-check` on an NVIDIA H200, 15 planned peaks were at most 2.2% below the measured ones.)", "",
    ),
    # 16 × 150 million
    "a model to fetch": ({"absent": ["minilm-l6", "smollm2-135m"]}, "memory", "ok", "up to 2.2 GiB", ""),
    "hub not needed": ({}, "hub", "ok", "nothing has to be downloaded", ""),
    "hub": ({"device": T4, "profile": "t4"}, "hub", "ok", "https://huggingface.co answers", ""),
    "no network": (
        {"profile": "t4", "silence": "refused"},
        "hub", "fail", "does not answer (ConnectionError('refused'))", "`LORALAB_PROFILE=cpu`",
    ),
    "no network, models there": (
        {"profile": "t4", "silence": "refused", "cached": BOTH}, "hub", "warn", "(ConnectionError", "in its cache"
    ),
    "a key for gemma": ({"profile": "large", "token": TOKEN}, "hub", "ok", f"whether it gives access to {GEMMA}", ""),
    "no key for gemma": ({"profile": "large"}, "hub", "fail", f"{GEMMA} is gated", f"https://huggingface.co/{GEMMA}"),
    "gemma in the cache": ({"profile": "large", "cached": [GEMMA]}, "hub", "ok", "answers", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_case(told, case, tmp_path):
    facts, check, level, text, remedy = CASES[case]
    if facts.get("profile") == MINE:
        (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")
        facts = facts | {"profile": str(tmp_path / "mine.toml")}
    lines = told(check, **facts)
    _, found_level, found_text, found_remedy = next((line for line in lines if line[1] != "ok"), lines[-1])
    assert found_level == level and text in found_text
    assert remedy in found_remedy and bool(remedy) == bool(found_remedy)


def test_another_packages_trouble_is_not_the_courses(told):
    own = "loralab 0.2.0 has requirement peft>=0.20, but you have peft 0.19.1."
    lines = told("requirements", pip=f"{own}\ntriton 3 requires cmake, which is not installed.")
    assert [(text, "pip install" in remedy) for _, level, text, remedy in lines if level == "fail"] == [(own, True)]


def test_room_on_the_disk(told):
    """In fp32: 4 × (66,955,010 + 494,032,768) bytes and 0.5 GB beside each and for IMDB; then a checkpoint of
    12 × 494,032,768 bytes for each of two epochs, and 2 GB."""
    facts = {"device": T4, "profile": "t4", "absent": ["film-reviews"]}
    needs = ("; 0.7 are", "; 3.7 are", "; 13.9 are")
    fits, full = told("disk", free=19e9, **facts), told("disk", free=18e9, **facts)
    for lines, level in ((fits, "ok"), (full, "fail")):
        assert [found for _, found, _, _ in lines] == [level] * 3
        assert all(need in text and "18.3 with all" in text for (_, _, text, _), need in zip(lines, needs, strict=True))
    assert [variable in remedy for (*_, remedy), variable in zip(full, ("LORALAB_CACHE", "HF_HOME", "LORALAB_RESULTS"),
                                                                 strict=True)] == [True] * 3  # fmt: skip
    assert "; 0.5 are" in told("disk", **facts, cached=BOTH)[1][2]


def test_room_for_checkpoints_that_are_kept_apart(told, monkeypatch):
    monkeypatch.setenv("LORALAB_CHECKPOINTS", "/content/loralab/runs")
    (_, _, text, _), (_, _, checkpoints, _) = told("disk", device=T4, profile="t4")[2:]
    assert "; 2.0 are" in text and "; 11.9 are" in checkpoints and "/content/loralab/runs" in checkpoints


def test_what_the_manual_says_of_drive_is_what_is_counted_and_done():
    manual = (Path(__file__).parents[1] / "notebooks" / "README.md").read_text("utf-8")
    assert f"{KEPT / 1e9:.0f} GB at most for all lessons" in manual
    assert LONG == 600 and "a training with more than ten minutes to go" in " ".join(manual.split())


SHARED = Path("/dev/shm")


@pytest.mark.skipif(not SHARED.is_dir(), reason="takes a second file system")
def test_what_goes_to_another_disk_is_not_counted(told, tmp_path, monkeypatch):
    if SHARED.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("takes a second file system")
    told("disk", device=T4, profile="t4")
    monkeypatch.setenv("LORALAB_RESULTS", str(SHARED / "loralab-results"))
    lines = [text for *_, text, _ in CHECKS["disk"][1]()]
    assert "3.7 with all" in lines[1] and "13.9 with all" in lines[2]


def test_a_folder_that_cannot_be_written_matters_if_something_goes_there(told):
    facts = {"device": T4, "profile": "t4", "writable": False}
    assert [level for _, level, *_ in told("disk", **facts)] == ["ok", "fail", "fail"]
    cache = told("disk", **facts, absent=["film-reviews"])[0]
    assert cache[1] == "fail" and "cannot be written to" in cache[2] and "`LORALAB_CACHE`" in cache[3]


def test_what_is_there_is_not_missing_and_fits_what_is_allowed_for_it():
    kept = [fetch(row) for row in (assets("model") | assets("dataset")).values() if "package" in row]
    assert sum(path.stat().st_size for folder in kept for path in folder.iterdir()) < EMBEDDED
    assert missing() == []
    cpu = load_profile("cpu")
    assert all(least_bytes(track.experiment("full")) < ALLOWED for track in (cpu, cpu.generation))


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


def install(folder, name, version):
    """Make it look as if a package were installed in a folder, which breaks if it is imported."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (about / "RECORD").write_text(f"{name}/__init__.py,,\n", encoding="utf-8")
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")


@pytest.mark.slow
def test_a_machine_with_much_wrong(tmp_path):
    install(tmp_path, "torchao", "0.10.0")
    install(tmp_path, "pillow", "1.0")
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
    lines = shown.splitlines()
    for start, *parts in (
        ("[fail] Requisitos: loralab", "pillow 1.0", "pip install"),
        ("[fail] Requisitos: con el torchao", "0.10.0", "pip uninstall"),
        ("[warn] Dispositivo: torch no ve", "(Tesla T4, Tesla T4)"),
        ("[fail] Disco: no se puede escribir", "`LORALAB_RESULTS`"),
        ("[ok] Memoria", "3,5 GiB"),
    ):
        (line,) = [line for line in lines if line.startswith(start)]
        assert all(part in line for part in parts)


class Hub(BaseHTTPRequestHandler):
    """A hub that answers, with nothing in it."""

    def do_HEAD(self):
        self.send_response(404)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_a_hub_with_a_key_in_spanish(tmp_path, monkeypatch, capsys):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    for name, value in (("ENDPOINT", endpoint), ("HF_HUB_CACHE", str(tmp_path / "hub"))):
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    monkeypatch.setattr(hardware, "detect", lambda: A100)  # whose plan is known by now
    for name, value in (("LORALAB_RESULTS", tmp_path / "results"), ("LORALAB_PROFILE", "large"), ("HF_TOKEN", TOKEN)):
        monkeypatch.setenv(name, str(value))
    code = main(["doctor", "--language", "es"])
    server.shutdown()
    shown = capsys.readouterr().out
    assert TOKEN not in shown and code == ("[fail]" in shown)
    for said in (f"{endpoint} responde", "hay una clave"):
        assert any(line.startswith("[ok] ") and said in line for line in shown.splitlines())
    assert "Memoria: " in shown and "gemma-3-4b, completo" in shown
    assert not (tmp_path / "results").exists() and not (tmp_path / "hub").exists()  # it leaves nothing behind


@pytest.mark.slow
def test_a_broken_torch_leaves_the_other_checks_alone(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12 not found')", encoding="utf-8")
    code, shown, _ = doctor(paths=[tmp_path], LORALAB_PROFILE="cpu")
    lines = [line.partition("] ")[::2] for line in shown.splitlines()]
    assert [level for level, text in lines if text.startswith("Requirements")] == ["[ok", "[ok", "[warn"]
    assert any(text.startswith("Device: ") and "libcudart.so.12 not found" in text for _, text in lines)
    titles = ("Requirements", "Device", "Profile", "Memory", "Disk", "Hugging Face Hub")
    assert code == 0 and {text.partition(":")[0] for _, text in lines} == set(titles)


def test_here_without_a_network_and_without_a_profile(monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("LORALAB_PROFILE", "t4")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert main(["doctor"]) == 1
    shown = capsys.readouterr()
    assert "[fail] Hugging Face Hub: http://127.0.0.1:9 does not answer (ConnectError" in shown.out
    assert all(line.startswith(("[ok] ", "[warn] ", "[fail] ")) for line in shown.out.splitlines())
    assert TOKEN not in shown.out + shown.err
    monkeypatch.setenv("LORALAB_PROFILE", "gpu")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("[fail] Profile: profile cannot be 'gpu'. Choose one of: smoke, cpu") for line in lines)
    assert [line.split()[0] for line in lines if "could not be checked" in line] == ["[warn]"] * 3


def test_it_is_importable_without_what_it_examines():
    code = "import sys, loralab.doctor; sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
