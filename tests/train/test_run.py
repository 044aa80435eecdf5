"""What `run` refuses, and what it says when memory runs out."""

import os
import resource
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from loralab.planner import to_plan
from loralab.profiles import load_profile
from loralab.train import run as runner
from loralab.train.hardware import Device
from loralab.train.models import least_bytes
from loralab.train.run import SIZED, check_weights_fit, plan_command, run, run_folder

BASE = 22_713_986  # MiniLM with a head of two classes
SMALL = Device("cpu", "2 × CPU", 2**28)


def test_the_least_that_training_takes_by_hand(smoke):
    assert least_bytes(smoke.experiment("full")) == 16 * BASE
    # peft keeps the head that it trains a copy of
    assert least_bytes(smoke.experiment("lora")) == 4 * BASE + 16 * 222_338 == least_bytes(smoke.experiment("pissa"))
    answering = smoke.generation.experiment("lora")
    trained = 4_884_480
    for weights, each in (("fp32", 4), ("bf16", 2), ("nf4", 0.5)):
        assert least_bytes(answering.but(weights=weights)) == each * 134_515_008 + 16 * trained
    # Gemma's part that sees, 417 of its 4,300 million, gets no gradient from text
    gemma = answering.but(method="full", model="gemma-3-4b")
    assert least_bytes(gemma) == pytest.approx(4 * 4.300e9 + 12 * 3.880e9, rel=2e-3)


def test_what_cannot_fit_is_refused_before_anything_is_loaded(smoke, monkeypatch):
    monkeypatch.setattr(runner, "detect", lambda: SMALL)
    for name in ("train", "run_baseline", "fingerprints", "load_splits"):
        monkeypatch.setattr(runner, name, None)
    with pytest.raises(ValueError, match=r"does not fit: .* 0\.34 GiB, .* has 0\.25.*plan task=classification"):
        run(smoke.experiment("full"))


def test_what_has_a_result_needs_no_memory(smoke, monkeypatch):
    monkeypatch.setattr(runner, "detect", lambda: SMALL)
    experiment = smoke.experiment("full")
    with pytest.raises(ValueError, match="does not fit"):
        check_weights_fit(experiment, SMALL)
    run_folder(experiment).mkdir(parents=True)
    (run_folder(experiment) / "result.json").touch()
    check_weights_fit(experiment, SMALL)
    with pytest.raises(ValueError, match="does not fit"):
        run(experiment)  # the file turns out to hold no result


def test_what_is_not_known_or_trains_nothing_is_let_through(smoke):
    check_weights_fit(smoke.experiment("full"), Device("cpu", "CPU", 0))
    check_weights_fit(smoke.experiment("frozen"), Device("cpu", "CPU", 1))


@pytest.mark.parametrize("profile", ["smoke", "t4"])
def test_the_command_to_plan_with_is_of_this_experiment(profile):
    row = load_profile(profile)
    for experiment in (row.experiment("full", max_length=None), row.generation.variant("original"),
                       row.experiment("lora", target_modules=("Wqkv", "key"), dropout=0.1),
                       row.generation.experiment("prefix", activation_checkpointing=False, batch_size=3)):  # fmt: skip
        program, *pairs = shlex.split(plan_command(experiment).removeprefix("python -m loralab "))
        (planned,) = to_plan(load_profile("cpu"), pairs)
        assert program == "plan" and planned.task == experiment.task
        assert [getattr(planned, n) for n in SIZED if n in experiment.reads] == [
            getattr(experiment, n) for n in SIZED if n in experiment.reads
        ]


@pytest.mark.slow
def test_memory_that_runs_out_names_the_command(smoke, tmp_path):
    """For real: a process that may have little more memory than it has when training starts."""
    script = """
import resource
from loralab import load_profile, run
from loralab.train import run as runner
experiment = load_profile("smoke").experiment("lora", batch_size=64, epochs=1, max_length=None)
def train(*arguments, own=runner.train):
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + 160 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return own(*arguments)
runner.train = train
try:
    run(experiment)
except MemoryError as error:
    print(error)
"""
    environment = os.environ | {"LORALAB_RESULTS": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    experiment = smoke.experiment("lora", batch_size=64, epochs=1, max_length=None)
    assert f"`{plan_command(experiment)}`" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("error", "seen", "says"),
    [
        (RuntimeError("of another kind"), RuntimeError, "of another kind"),
        (torch.OutOfMemoryError("CUDA out of memory"), MemoryError, "plan task=classification"),
    ],
)
def test_memory_that_runs_out_names_the_command_and_another_error_is_passed_on(smoke, monkeypatch, error, seen, says):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(runner, "train", fail)
    with pytest.raises(seen, match=says):
        run(smoke.experiment("lora", seed=3))


@contextmanager
def no_file_above(size):
    """As on a full disk: no file may grow beyond so many bytes."""
    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, most))


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 20_000, 250_000])
def test_a_full_disk_is_named_and_once_there_is_room_the_run_ends_the_same(smoke, results, tmp_path, monkeypatch, size):
    experiment = smoke.experiment("lora", train_size=32, validation_size=8, test_size=16, epochs=2)
    with no_file_above(size), pytest.raises(OSError, match=r"cannot be written.*Free some space"):
        run(experiment)
    assert not (run_folder(experiment) / "result.json").exists()
    ended = run(experiment)
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / "undisturbed"))
    undisturbed = run(experiment)
    assert (ended.test, ended.loss_by_step) == (undisturbed.test, undisturbed.loss_by_step)


def test_a_place_that_cannot_be_written_is_named_before_anything_is_trained(smoke, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / "file" / "results"))
    with pytest.raises(OSError, match=r"cannot be written into .*LORALAB_RESULTS"):
        run(smoke.experiment("majority"))


def test_results_may_lie_on_another_disk(smoke, results, capsys):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == results.parent.stat().st_dev:
        pytest.skip("there is one disk")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        results.mkdir(exist_ok=True)
        (results / "runs").symlink_to(folder)
        experiment = smoke.experiment("majority")
        whole = run(experiment)
        (run_folder(experiment) / "result.json").write_text("{")
        assert run(experiment).test == whole.test
        (aside,) = (results / "aside").iterdir()
        assert (aside / "result.json").read_text() == "{"
