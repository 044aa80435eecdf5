"""The same experiments on two processes: slow, but for how a batch is shared.

Run by `accelerate launch`, this file is what they run; see `main`.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small import few_layers, without_dropout
from transformers import TrainerCallback

from loralab.experiment import Result
from loralab.lessons.start import own_profile
from loralab.profiles import load_profile
from loralab.train import trainer as training
from loralab.train.chat import IGNORED
from loralab.train.run import run, run_folder
from loralab.train.trainer import share

smoke = load_profile("smoke")
# 5 rows in batches of 2: the last is of one row, which leaves nothing for the second process.
answering = smoke.generation.experiment(
    "lora", train_size=5, validation_size=3, test_size=3, batch_size=2, max_length=80, gradient_accumulation_steps=2
)
# 37 rows in batches of 6, of 3 each but for the last. Of 70 and of 150 rows, evaluation fills up batches of 2 × 64.
classifying = smoke.experiment("lora", train_size=37, validation_size=70, test_size=150, batch_size=6, epochs=2)
baseline = smoke.experiment("tfidf")


class PullThePlug(TrainerCallback):
    def on_epoch_begin(self, args, state, control, **kwargs):
        if state.global_step == 7:
            os._exit(1)


def prepare(monkeypatch):
    few_layers(monkeypatch)
    monkeypatch.setattr(training, "load_for", without_dropout)


def main(what, folder):
    """Run "all", or `classifying` alone ("killed" after its first epoch), and keep what this process got."""
    prepare(pytest.MonkeyPatch())
    if what == "all":
        with pytest.raises(ValueError, match="batch_size is 1 and there are 2 processes"):
            run(classifying.but(batch_size=1))
    for experiment in [answering, classifying, baseline] if what == "all" else [classifying]:
        result = run(experiment, callbacks=(PullThePlug(),) if what == "killed" else ())
        result.save(Path(folder) / f"{os.environ['RANK']}-{experiment.key}.json")


def launch(*arguments, **variables):
    """Two processes of what `accelerate launch` is given; on a CPU too they are asked for by --multi_gpu."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--main_process_port", str(port), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | variables
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    return done.returncode, done.stdout, done.stderr


def launch_this(what, folder):
    """Two processes of `main`."""
    return launch(__file__, what, str(folder), LORALAB_RESULTS=str(folder))


@pytest.fixture(autouse=True)
def as_there(monkeypatch):
    prepare(monkeypatch)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    code, printed, errors = launch_this("all", folder)
    assert code == 0, errors
    return folder, printed


def kept(folder, experiment):
    return [Result.load(folder / f"{process}-{experiment.key}.json") for process in (0, 1)]


def check_the_same(found, alone):
    assert found.loss_by_step == pytest.approx(alone.loss_by_step, rel=1e-4)
    assert found.learning_rate_by_step == alone.learning_rate_by_step
    assert len(found.epochs) == len(alone.epochs)
    for there, here in zip((found.test, *found.epochs), (alone.test, *alone.epochs), strict=True):
        assert there == pytest.approx(here, rel=1e-4)
    assert found.predictions == alone.predictions and found.labels == alone.labels
    assert found.tokens == alone.tokens and found.parameters == alone.parameters
    assert found.provenance["processes"] == 2 and alone.provenance["processes"] == 1


def adapter(experiment):
    return load_file(run_folder(experiment) / "adapter" / "adapter_model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [answering, classifying], ids=["generation", "classification"])
def test_two_processes_train_what_one_does(together, monkeypatch, experiment):
    alone, weights = run(experiment), adapter(experiment)
    first, second = kept(together[0], experiment)
    check_the_same(first, alone)
    assert second == first
    monkeypatch.setenv("LORALAB_RESULTS", str(together[0]))
    assert first == Result.load(run_folder(experiment) / "result.json")
    for name, values in adapter(experiment).items():
        torch.testing.assert_close(values, weights[name], rtol=1e-3, atol=2e-5)


@pytest.mark.slow
def test_one_process_prints_and_writes_and_the_next_run_loads(together, monkeypatch, capsys):
    folder, printed = together
    for experiment in (answering, classifying, baseline):
        assert printed.count(f"{experiment.key}: done in") == 1
    assert sorted(path.name for path in (folder / "runs").iterdir()) == sorted(
        experiment.key for experiment in (answering, classifying, baseline)
    )
    assert not (folder / "aside").exists() and not list(folder.glob("runs/*/checkpoint-*"))
    assert kept(folder, baseline)[0] == kept(folder, baseline)[1]
    monkeypatch.setenv("LORALAB_RESULTS", str(folder))
    assert run(baseline) == kept(folder, baseline)[0]
    assert run(classifying) == kept(folder, classifying)[0]
    assert capsys.readouterr().out.count("done before") == 2


@pytest.mark.slow
def test_two_processes_resume_and_the_next_two_load(tmp_path):
    alone = run(classifying)
    assert launch_this("killed", tmp_path)[0] != 0
    code, printed, errors = launch_this("classifying", tmp_path)
    assert code == 0, errors
    assert printed.count("resuming from checkpoint-7") == 1
    first, second = kept(tmp_path, classifying)
    check_the_same(first, alone)
    assert second == first
    code, printed, errors = launch_this("classifying", tmp_path)
    assert code == 0, errors
    assert printed.count("done before") == 1 and "done in" not in printed
    assert kept(tmp_path, classifying) == [first, second]


@pytest.mark.slow
def test_the_command_line_runs_a_profile_on_two_processes(tmp_path, monkeypatch):
    monkeypatch.undo()  # the processes that it starts train the whole model
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / "one"))
    sizes = "train_size = {}\nranks = [{}]\nvalidation_size = {}\ntest_size = {}\nseeds = [0]\nmax_length = 80\n"
    profile = tmp_path / "tiny.toml"
    texts, pairs = sizes.format(64, 8, 16, 32), sizes.format(12, 16, 2, 4)
    profile.write_text(f'base = "smoke"\n{texts}\n[generation]\nbatch_size = 4\n{pairs}')
    results = tmp_path / "two"
    code, printed, errors = launch("-m", "loralab", "run", LORALAB_PROFILE=str(profile), LORALAB_RESULTS=str(results))
    assert code == 0, errors
    chosen = own_profile(profile).generation.experiment("lora")
    assert printed.count(f"{chosen.key}: done in") == 1
    alone = run(chosen)
    found = Result.load(results / "runs" / chosen.key / "result.json")
    assert found.provenance["processes"] == 2
    assert len(found.loss_by_step) == 3
    assert found.loss_by_step == pytest.approx(alone.loss_by_step, rel=1e-4)
    assert found.test["loss"] == pytest.approx(alone.test["loss"], rel=1e-4)


def collate(rows):
    return {"input_ids": torch.tensor(rows).reshape(-1, 1), "labels": torch.tensor(rows)}


@pytest.mark.parametrize("rows", range(1, 9))
@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_every_row_of_a_batch_counts_once(rows, processes):
    numbers = list(range(rows))
    parts = [share(numbers, collate, process, processes) for process in range(processes)]
    counted = [label for part in parts for label in part["labels"].tolist() if label != IGNORED]
    assert sorted(counted) == numbers
    assert all(len(part["input_ids"]) == len(part["labels"]) > 0 for part in parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
