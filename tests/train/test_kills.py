"""Killed at random moments and started again, a training ends as one that nobody disturbed."""

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small import few_layers

from loralab.experiment import Result
from loralab.profiles import load_profile
from loralab.train.run import run, run_folder

smoke = load_profile("smoke")
EXPERIMENTS = {
    "classification": smoke.experiment("lora", dropout=0.1, epochs=4, train_size=96),
    "generation": smoke.generation.experiment("lora", dropout=0.1, epochs=4, train_size=8, max_length=112),
}


def main(track):
    few_layers(pytest.MonkeyPatch())
    print("ready", flush=True)
    run(EXPERIMENTS[track])


def started(track, folder):
    """A process that has come to where it runs the experiment; its standard error goes to a file."""
    environment = os.environ | {"LORALAB_RESULTS": str(folder), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, __file__, track]
    with (folder.parent / "errors.txt").open("a") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    assert process.stdout.readline() == "ready\n", Path(errors.name).read_text()
    return process


def measured(track, folder, monkeypatch):
    """What the run left, without what the clock says."""
    monkeypatch.setenv("LORALAB_RESULTS", str(folder))
    result = Result.load(run_folder(EXPERIMENTS[track]) / "result.json")
    weights = (run_folder(EXPERIMENTS[track]) / "adapter" / "adapter_model.safetensors").read_bytes()
    return replace(result, seconds={}, memory={}, provenance=result.provenance | {"date": ""}), weights


@pytest.mark.slow
@pytest.mark.parametrize("track", EXPERIMENTS)
def test_ten_random_kills_change_not_a_bit(track, tmp_path, monkeypatch):
    whole, begun = started(track, tmp_path / "whole"), time.perf_counter()
    whole.communicate()
    seconds = time.perf_counter() - begun
    undisturbed = measured(track, tmp_path / "whole", monkeypatch)
    chance, kills, ended = random.Random(0), 0, 0
    while kills < 10 or not ended:
        process = started(track, tmp_path / "killed")
        try:
            process.communicate(timeout=chance.uniform(0, 1) * seconds if kills < 10 else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, (tmp_path / "errors.txt").read_text()
        assert measured(track, tmp_path / "killed", monkeypatch) == undisturbed
        shutil.rmtree(tmp_path / "killed")
        ended += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
