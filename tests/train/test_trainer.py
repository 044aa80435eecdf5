import copy
import json
import logging
import math
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small import few_layers, without_dropout
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
)

from loralab.data.splits import load_splits
from loralab.data.texts import words
from loralab.experiment import RECIPE, Result
from loralab.messages import message, scientific
from loralab.profiles import load_profile
from loralab.train import run as runner
from loralab.train import trainer as training
from loralab.train.chat import encode_pairs
from loralab.train.generation import answer_losses, generate
from loralab.train.hardware import detect
from loralab.train.models import apply_method, load_for, load_tokenizer, load_trained
from loralab.train.objectives import objective_of
from loralab.train.peak import profiled_peak, static_bytes
from loralab.train.run import run, run_folder
from loralab.train.tokens import encode
from loralab.train.trainer import largest_step, last_whole, refuse_not_finite


@pytest.fixture(scope="module")
def lora(smoke):
    return smoke.experiment("lora", epochs=2, dropout=0.1, train_size=16, test_size=32, batch_size=4)


class Recorder(TrainerCallback):
    """Keeps the first step's gradient as the optimizer gets it, and its norm before clipping."""

    def __init__(self):
        self.gradient = self.norm = None

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        if self.gradient is None:
            self.gradient = torch.cat([p.grad.flatten().clone() for p in model.parameters() if p.grad is not None])

    def on_log(self, args, state, control, logs, **kwargs):
        if self.norm is None:
            self.norm = logs["grad_norm"]


class PullThePlug(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def run_twice(experiment, folder, step):
    """Run it into `whole`, and into `interrupted` up to a step; the result of the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORALAB_RESULTS", str(folder / "whole"))
        result = run(experiment)
        patch.setenv("LORALAB_RESULTS", str(folder / "interrupted"))
        with pytest.raises(KeyboardInterrupt):
            run(experiment, callbacks=(PullThePlug(step=step),))
    return result


@pytest.fixture(scope="module")
def kept(lora, tmp_path_factory):
    """What a run of it leaves when it is whole, and when it was interrupted in its second epoch; and its result."""
    folder = tmp_path_factory.mktemp("kept")
    return folder, run_twice(lora, folder, step=6)


@pytest.fixture
def whole(kept, results):
    shutil.copytree(kept[0] / "whole", results)
    return kept[1]


@pytest.fixture
def interrupted(kept, results):
    shutil.copytree(kept[0] / "interrupted", results)


def first_step(experiment, monkeypatch, tmp_path, name):
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / name))
    recorder = Recorder()
    run(experiment, callbacks=(recorder,))
    return recorder


@pytest.fixture
def one_order(monkeypatch):
    """Rows in their given order, so that 4 batches of 4 hold what 1 batch of 16 does; and no dropout."""
    by_number = lambda lengths, size, seed, epoch: [  # noqa: E731
        list(range(i, min(i + size, len(lengths)))) for i in range(0, len(lengths), size)
    ]
    monkeypatch.setattr("loralab.train.tokens.batches_by_length", by_number)
    monkeypatch.setattr(training, "batches_by_length", by_number)
    monkeypatch.setattr(training, "load_for", without_dropout)


@pytest.mark.parametrize("rows", [pytest.param(32, marks=pytest.mark.slow), 30], ids=["even", "uneven"])
def test_accumulation_gives_the_gradient_of_one_large_batch(smoke, monkeypatch, tmp_path, one_order, rows):
    whole = smoke.experiment("head", train_size=rows, validation_size=4, batch_size=rows, examined=False)
    parts = whole.but(batch_size=8, gradient_accumulation_steps=4)
    expected = first_step(whole, monkeypatch, tmp_path, "whole")
    actual = first_step(parts, monkeypatch, tmp_path, "parts")
    assert actual.norm == pytest.approx(expected.norm, rel=1e-4)
    torch.testing.assert_close(actual.gradient, expected.gradient, rtol=1e-4, atol=1e-6)

    class WithoutRemedy(training.LengthTrainer):
        def __init__(self, **kwargs):
            super().__init__(**{name: value for name, value in kwargs.items() if name != "compute_loss_func"})

    monkeypatch.setattr(training, "LengthTrainer", WithoutRemedy)
    unmended = first_step(parts, monkeypatch, tmp_path, "unmended")
    assert unmended.norm == pytest.approx(4 * expected.norm, rel=1e-3 if rows % 8 == 0 else 0.1)


def test_a_run_is_loaded_the_second_time(lora, whole, capsys):
    assert run(lora.but(profile="other")) == whole
    assert "done before" in capsys.readouterr().out
    assert not list(run_folder(lora).glob("checkpoint-*"))


def test_what_a_result_holds(lora, kept):
    _, result = kept
    assert len(result.loss_by_step) == 2 * 4 and len(result.epochs) == 2
    assert abs(result.loss_by_step[0] - np.log(2)) < 0.1
    assert result.parameters["trainable"] == result.parameters["adapter"] + result.parameters["head"]
    assert result.seconds["training"] > 0 and result.seconds["evaluation"] > 0
    assert result.labels == load_splits(lora).test["label"].tolist()
    right = sum(a == b for a, b in zip(result.predictions, result.labels, strict=True))
    assert result.test["accuracy"] == pytest.approx(right / 32)
    lengths = encode(load_splits(lora).train, load_tokenizer(lora.model), lora.max_length).lengths
    assert result.tokens["real"] == 2 * sum(lengths) <= result.tokens["padded"]
    # fp32 weights of 4 bytes are there in any case; with gradient and two Adam states a trained one takes 16
    assert result.memory["peak_bytes"] > 4 * result.parameters["total"] + 12 * result.parameters["trainable"]
    assert result.memory["method"] == "profiler"
    about = {"data", "recipe", "weights", "base", "labels", "device", "processes", "threads", "date", "versions"}
    assert set(result.provenance) == about
    assert result.provenance["threads"] == torch.get_num_threads()


def test_accuracy_after_reload_is_identical(lora, whole):
    test = encode(load_splits(lora).test, load_tokenizer(lora.model), lora.max_length)
    folder = run_folder(lora)
    trainer = Trainer(
        model=load_trained(lora, folder),
        args=training.training_arguments(lora, detect(), folder),
        eval_dataset=test.dataset,
        data_collator=objective_of(lora).collator(lora, load_tokenizer(lora.model)),
        compute_metrics=objective_of(lora).scores,
    )
    exam = objective_of(lora).examine(trainer, None, lora, load_splits(lora), test)
    assert exam["predictions"] == whole.predictions and exam["test"] == whole.test


def check_resumed(resumed, whole, shown):
    assert "resuming from checkpoint-" in shown
    assert resumed.loss_by_step == whole.loss_by_step
    assert resumed.test == whole.test and resumed.epochs == whole.epochs
    assert resumed.memory["peak_bytes"] > 0


@pytest.mark.slow  # as the next two tests do, with checkpoints apart and with an older one
def test_an_interrupted_run_resumes_and_ends_the_same(lora, kept, interrupted, capsys):
    check_resumed(run(lora), kept[1], capsys.readouterr().out)


@pytest.fixture
def apart(kept, results, monkeypatch, tmp_path):
    """Results and checkpoints each have a place of their own; the seconds from which on one checkpoint is kept."""

    def at(seconds):
        monkeypatch.setenv("LORALAB_CHECKPOINTS", str(tmp_path / "runtime" / "runs"))
        monkeypatch.setattr(training, "LONG", seconds)
        return tmp_path / "runtime"

    return at


def test_checkpoints_apart_leave_no_trace_and_a_short_training_none_beside_results(lora, kept, results, apart, capsys):
    machine = apart(training.LONG)
    with pytest.raises(KeyboardInterrupt):
        run(lora, callbacks=(PullThePlug(step=6),))
    assert not [path for path in results.rglob("*") if path.is_file()] and [
        path.name for path in machine.glob("runs/*/*")
    ] == ["checkpoint-4"]
    check_resumed(run(lora), kept[1], capsys.readouterr().out)
    assert not list(machine.rglob("checkpoint-*")) and not list(results.rglob("checkpoint-*"))


@pytest.mark.slow
def test_of_a_long_training_the_newest_is_kept_where_results_are_if_it_fits(
    lora, kept, results, apart, capsys, monkeypatch
):
    machine, others = apart(0), results / "runs" / "another" / "checkpoint-1"
    others.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        run(lora, callbacks=(PullThePlug(step=6),))
    assert list(results.glob("runs/*/checkpoint-*")) == [run_folder(lora) / "checkpoint-4"]
    shutil.rmtree(machine)  # the machine is gone
    check_resumed(run(lora), kept[1], capsys.readouterr().out)
    assert not list(results.rglob("checkpoint-*"))
    shutil.rmtree(results)
    monkeypatch.setattr(training.shutil, "copytree", lambda *places: (_ for _ in ()).throw(OSError("quota exceeded")))
    with pytest.raises(KeyboardInterrupt):
        run(lora, callbacks=(PullThePlug(step=6),))
    assert "could not be copied to where results are (quota exceeded)" in capsys.readouterr().out
    shutil.rmtree(machine)
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(training.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(KeyboardInterrupt):
        run(lora, callbacks=(PullThePlug(step=6),))
    assert not list(results.rglob("checkpoint-*")) and list(machine.rglob("checkpoint-4"))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "generation"])
def test_so_it_is_with_full_fine_tuning_and_no_warning(smoke, monkeypatch, tmp_path, capsys, task):
    few_layers(monkeypatch)
    warned = []
    monkeypatch.setattr(logging.getLogger("transformers.trainer"), "filter", warned.append)
    sizes = {"train_size": 4, "validation_size": 2, "test_size": 2, "batch_size": 2, "epochs": 2, "max_length": 80}
    experiment = (smoke if task == "classification" else smoke.generation).experiment("full", **sizes)
    whole = run(experiment)
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / "interrupted"))
    with pytest.raises(KeyboardInterrupt):
        run(experiment, callbacks=(PullThePlug(step=3),))
    check_resumed(run(experiment), whole, capsys.readouterr().out)
    assert not [record.getMessage() for record in warned if record.levelno >= logging.WARNING]


def test_a_torn_checkpoint_is_not_resumed(lora, interrupted, capsys):
    path = run_folder(lora) / "checkpoint-4" / training.STAMP
    assert [stamp["seconds"] > 0 for _, stamp in training.checkpoints(path.parent.parent, lora.key)] == [True]
    for stamp in ("", "{}", "3", '["a", 3]', '["{}", "b"]', "[null, null]"):
        path.write_text(stamp)
        assert [stamp for _, stamp in training.checkpoints(path.parent.parent, lora.key)] == [{}]
    path.unlink()
    with pytest.raises(KeyboardInterrupt):  # it begins anew
        run(lora, callbacks=(PullThePlug(step=0),))
    said = capsys.readouterr().out
    assert "resuming" not in said and f"{lora.key}: checkpoint-4 is damaged or unfinished" in said


@pytest.fixture(scope="module")
def longer(lora, tmp_path_factory):
    """A run of a third epoch that was interrupted in it, with two checkpoints; and its result without interruption."""
    folder, experiment = tmp_path_factory.mktemp("longer"), lora.but(epochs=3)
    return folder / "interrupted", experiment, run_twice(experiment, folder, step=10)


def cut(path, another):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path, another):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose(path, another):
    path.unlink()


def swap(path, another):
    shutil.copy(another / path.name, path)


def empty(path, another):
    path.write_bytes(b"")


DAMAGES = (cut, flip, lose, swap, empty)


@pytest.fixture
def two(longer, kept, lora, results):
    """The folder of `longer` with its two checkpoints, and one of another experiment."""
    shutil.copytree(longer[0], results)
    return run_folder(longer[1]), kept[0] / "interrupted" / "runs" / lora.key / "checkpoint-4"


def test_whatever_is_wrong_with_a_checkpoint_it_is_passed_over(longer, two, capsys):
    (folder, another), key = two, longer[1].key
    (folder / "checkpoint-8" / ".DS_Store").touch()  # whoever looks into a folder may leave something there
    assert training.last_whole(folder, key)[0].name == "checkpoint-8" and not capsys.readouterr().out
    (folder / "checkpoint-8" / ".DS_Store").unlink()
    shutil.copytree(folder / "checkpoint-8", folder.parent / "whole")
    names = sorted(path.name for path in (folder / "checkpoint-8").iterdir())
    assert {"adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", training.STAMP} < set(names)
    for name in names:
        for damage in DAMAGES:
            path = folder / "checkpoint-8" / name
            damage(path, another)
            if path.exists() and path.read_bytes() == (folder.parent / "whole" / name).read_bytes():
                continue  # the other experiment's is the same
            assert training.last_whole(folder, key)[0].name == "checkpoint-4", (name, damage)
            assert not path.parent.exists() and f"{key}: checkpoint-8 is damaged" in capsys.readouterr().out
            shutil.copytree(folder.parent / "whole", path.parent)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("optimizer.pt", cut),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("rng_state.pth", flip), ("adapter_model.safetensors", lose), ("trainer_state.json", swap))
        ),
    ],
)
def test_a_run_with_a_damaged_checkpoint_ends_the_same_from_an_older_one(longer, two, capsys, name, damage):
    damage(two[0] / "checkpoint-8" / name, two[1])
    resumed, said = run(longer[1]), capsys.readouterr().out
    check_resumed(resumed, longer[2], said)
    assert "checkpoint-8 is damaged" in said and "resuming from checkpoint-4" in said
    assert resumed.predictions == longer[2].predictions and not list(two[0].glob("checkpoint-*"))


@pytest.mark.slow  # both halves have tests above: a torn checkpoint, and one with another's stamp among the damages
def test_with_no_whole_checkpoint_it_begins_anew_and_another_experiments_is_none(longer, two, capsys):
    for name in ("checkpoint-4", "checkpoint-8"):
        shutil.rmtree(two[0] / name)
        shutil.copytree(two[1], two[0] / name)
    resumed, said = run(longer[1]), capsys.readouterr().out
    assert said.count("of another experiment or of an older version; moved to aside/") == 2 and "resuming" not in said
    assert resumed.loss_by_step == longer[2].loss_by_step and resumed.test == longer[2].test


def test_what_a_killed_process_left_is_swept_when_the_run_is_loaded(lora, whole, kept, capsys):
    folder = run_folder(lora)
    shutil.copytree(kept[0] / "interrupted" / "runs" / lora.key / "checkpoint-4", folder / "checkpoint-4")
    for process, age in ((1, 7200), (2, 60)):
        (folder / f".writing-{process}-result.json").write_text("{")
        os.utime(folder / f".writing-{process}-result.json", times=(time.time() - age,) * 2)
    assert run(lora) == whole and "done before" in capsys.readouterr().out
    assert not list(folder.glob("checkpoint-*"))
    assert [path.name for path in folder.glob(".writing-*")] == [".writing-2-result.json"]


def test_a_checkpoint_of_another_recipe_is_moved_aside(lora, interrupted, results, monkeypatch, capsys):
    monkeypatch.setattr(runner, "RECIPE", RECIPE + 1)
    with pytest.raises(KeyboardInterrupt):
        run(lora, callbacks=(PullThePlug(step=0),))
    assert "no longer matches (training version)" in capsys.readouterr().out
    assert next((results / "aside").iterdir()).joinpath("checkpoint-4").is_dir()


def test_a_baseline_times_fitting_and_examination_apart(smoke):
    seconds = run(smoke.experiment("tfidf")).seconds
    assert seconds["training"] > 0 and seconds["evaluation"] > 0


@pytest.mark.parametrize("what", ["recipe", "data"])
def test_a_stale_result_is_named_kept_and_made_again(smoke, results, capsys, what):
    experiment = smoke.experiment("tfidf")
    first, path = run(experiment), run_folder(experiment) / "result.json"
    replace(first, provenance=first.provenance | {what: "something else"}).save(path)
    again = run(experiment)
    assert f"no longer matches ({message(what)})" in capsys.readouterr().out
    assert Result.load(path) == again
    assert Result.load(next((results / "aside").glob("*/result.json"))).provenance[what] == "something else"


def test_a_result_rests_on_the_notes_that_are_asked_for(smoke, results, capsys):
    experiment, kept = smoke.experiment("tfidf"), lambda: sorted((results / "aside").glob("*/result.json"))
    path, first, second = run_folder(experiment) / "result.json", {"protocol": "first"}, {"protocol": "second"}
    run(experiment)  # of no protocol, so of no use to one
    assert "protocol" not in Result.load(path).provenance and not kept()
    old = run(experiment, notes=first)
    assert "no longer matches (the study's protocol); moved to aside/" in capsys.readouterr().out
    assert old.provenance["protocol"] == "first" and Result.load(path) == old and len(kept()) == 1
    assert run(experiment, notes=first) == run(experiment, notes={}) == run(experiment) == old
    assert capsys.readouterr().out.count("done before") == 3
    new = run(experiment, notes=second)
    assert "no longer matches (the study's protocol)" in capsys.readouterr().out
    assert Result.load(path) == new and new.provenance["protocol"] == "second" and Result.load(kept()[1]) == old


@pytest.mark.parametrize("place", ["beside results", pytest.param("apart", marks=pytest.mark.slow)])
def test_a_checkpoint_of_another_protocol_is_moved_aside(lora, results, apart, capsys, place):
    root = apart(training.LONG) if place == "apart" else results

    def stopped(step, protocol):
        with pytest.raises(KeyboardInterrupt):
            run(lora, callbacks=(PullThePlug(step=step),), notes={"protocol": protocol})
        return capsys.readouterr().out

    stopped(6, "first")
    again = stopped(6, "first")
    assert "resuming from checkpoint-4" in again and "moved" not in again
    other = stopped(0, "second")
    assert "no longer matches (the study's protocol); moved to aside/" in other and "resuming" not in other
    assert [path.name for path in root.glob("aside/*/*")] == ["checkpoint-4"]


def test_a_damaged_result_is_named_kept_and_made_again(smoke, results, capsys):
    experiment = smoke.experiment("majority")
    first = run(experiment)
    path = run_folder(experiment) / "result.json"
    path.write_text(path.read_text()[:100])
    again = run(experiment)
    assert "is damaged" in capsys.readouterr().out
    assert again.predictions == first.predictions
    assert len(next((results / "aside").glob("*/result.json")).read_text()) == 100


def test_another_experiments_result_is_named_kept_and_made_again(smoke, results, capsys):
    asked, other = smoke.experiment("tfidf", split_seed=1), smoke.experiment("tfidf")
    first = run(asked)
    run(other)
    shutil.copy(run_folder(other) / "result.json", run_folder(asked) / "result.json")
    again = run(asked)
    assert "the result is of another experiment (split_seed=0); moved to aside/" in capsys.readouterr().out
    assert again.predictions == first.predictions and again.experiment == asked
    assert Result.load(next((results / "aside").glob("*/result.json"))).experiment == other


def test_an_edited_result_is_named_kept_and_made_again(smoke, results, capsys):
    experiment = smoke.experiment("majority")
    first = run(experiment)
    path = run_folder(experiment) / "result.json"
    content = json.loads(path.read_text())
    content["test"]["mcc"] = 0.99
    path.write_text(json.dumps(content))
    assert run(experiment).test == first.test
    assert "is damaged (what is in it is not what was saved); moved to" in capsys.readouterr().out


def test_methods_with_one_seed_train_on_the_same_batches(smoke, monkeypatch):
    seen = {}

    def watched(self, model, inputs, *arguments, **named):
        seen.setdefault(method, []).append(inputs["input_ids"].tolist())
        return torch.zeros(())  # what it would learn does not matter here

    monkeypatch.setattr(training.LengthTrainer, "training_step", watched)
    for method in ("full", "lora"):
        run(smoke.experiment(method, epochs=2, examined=False))
    assert seen["full"] == seen["lora"]
    # the sampler's own batches, epoch by epoch
    experiment = smoke.experiment("lora", epochs=2)
    train = encode(load_splits(experiment).train, load_tokenizer(experiment.model), experiment.max_length)
    drawn = lambda epoch: training.batches_by_length(train.lengths, experiment.batch_size, 0, epoch)  # noqa: E731
    batches = [*drawn(0), *drawn(1)]
    expected = [sorted(train.dataset[row]["input_ids"] for row in batch) for batch in batches]
    pad = load_tokenizer(experiment.model).pad_token_id
    assert [sorted([i for i in row if i != pad] for row in batch) for batch in seen["lora"]] == expected


def test_the_largest_step_is_never_the_first(lora):
    assert largest_step([50] + [5] * 63, lora.but(batch_size=64, epochs=2)) == 1


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_largest_step_holds_the_longest_row(lora, epochs):
    experiment = lora.but(epochs=epochs, batch_size=16)
    lengths = [*range(3, 66), 300]
    batches = [b for epoch in range(epochs) for b in training.batches_by_length(lengths, 16, experiment.seed, epoch)]
    where = [step for step, batch in enumerate(batches) if 63 in batch and step > 0]
    step = largest_step(lengths, experiment)
    assert step in where if where else step > 0


def test_the_profiled_peak_of_known_allocations():
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        first = torch.ones(5_000_000)  # 20 MB
        del first
        second = torch.ones(2_500_000)  # 10 MB
        third = torch.ones(1_250_000)  # 5 MB
        del second, third
    assert profiled_peak(profiler) == pytest.approx(20e6, rel=0.01)


def test_static_bytes_of_a_trained_layer():
    layer = torch.nn.Linear(100, 10)  # 1,010 fp32 parameters
    optimizer = torch.optim.AdamW(layer.parameters())
    assert static_bytes(layer, optimizer) == 4 * 1010
    layer(torch.ones(1, 100)).sum().backward()
    assert static_bytes(layer, optimizer) == 8 * 1010
    optimizer.step()
    assert static_bytes(layer, optimizer) == pytest.approx(16 * 1010, abs=16)  # AdamW counts its steps too


@pytest.mark.slow
def test_the_frozen_baseline_learns(smoke):
    result = run(smoke.experiment("frozen", train_size=250, test_size=250))
    assert result.test["accuracy"] > 0.6


class Break(TrainerCallback):
    """Makes a weight infinite when an epoch (1: the first) begins."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, args, state, control, model, **kwargs):
        if round(state.epoch) == self.epoch - 1:
            next(p for p in model.parameters() if p.requires_grad).data.fill_(math.inf)


@pytest.mark.parametrize("task", ["classification", pytest.param("generation", marks=pytest.mark.slow)])
def test_a_loss_that_is_no_number_stops_the_run_and_leaves_no_result(smoke, results, task, monkeypatch, capsys):
    few_layers(monkeypatch)
    track = smoke if task == "classification" else smoke.generation
    sizes = {"train_size": 4, "validation_size": 2, "test_size": 2, "batch_size": 2, "max_length": 80}
    experiment = track.experiment("lora", epochs=2, **sizes)
    with pytest.raises(FloatingPointError, match="nan") as failed:
        run(experiment, callbacks=(Break(2),))
    rate = message("not_finite_rate", rate=scientific(experiment.learning_rate))
    assert str(failed.value).endswith(rate) and experiment.key in str(failed.value) and " 3 " in str(failed.value)
    folder = run_folder(experiment)
    (checkpoint,) = folder.iterdir()
    assert checkpoint.name == "checkpoint-2" and last_whole(folder, experiment.key)
    assert run(experiment).experiment == experiment and checkpoint.name in capsys.readouterr().out


def test_so_it_is_at_a_rate_that_is_far_too_high(smoke, results):
    sizes = {"train_size": 16, "validation_size": 4, "batch_size": 4}
    experiment = smoke.experiment("full", learning_rate=1e30, test_size=4, **sizes)
    with pytest.raises(FloatingPointError, match="1e\\+30"):
        run(experiment)
    assert not list(run_folder(experiment).rglob("result.json"))


def test_in_fp16_it_is_said_what_holds_greater_numbers(smoke):
    refuse_not_finite(0.7, smoke.experiment("lora"), 1)
    with pytest.raises(FloatingPointError, match=r'65,504.*precision="fp32"'):
        refuse_not_finite(math.inf, smoke.experiment("lora", precision="fp16"), 1)


@pytest.mark.parametrize("place", ["process", "child"])
def test_no_network_reaches_further_than_this_machine(place):
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    if place == "child":
        code = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {code!r}]).returncode)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1 and "without a network" in done.stderr


@pytest.fixture(scope="module")
def answering(smoke):
    sizes = {"train_size": 4, "test_size": 2, "batch_size": 2, "epochs": 2, "max_length": 80}
    return smoke.generation.experiment("lora", dropout=0.1, **sizes)


def test_an_answering_model_from_training_to_its_adapter(answering, monkeypatch, capsys):
    few_layers(monkeypatch)
    result = run(answering)
    assert "perplexity" in capsys.readouterr().out
    folder, splits = run_folder(answering), load_splits(answering)
    assert Result.load(folder / "result.json") == result == run(answering)

    encoded = encode_pairs(splits.train, load_tokenizer(answering.model), answering.max_length)
    assert len(result.loss_by_step) == len(result.learning_rate_by_step) == 2 * 2 and len(result.epochs) == 2
    assert result.loss_by_step[-1] < result.loss_by_step[0]
    assert set(result.epochs[0]) == {"loss", "perplexity"}
    assert result.parameters["trainable"] == 4_884_480 * 2 / 30 and result.parameters["head"] == 0
    assert result.memory["peak_bytes"] > 4 * result.parameters["total"] + 12 * result.parameters["trainable"]
    answers = [sum(label >= 0 for label in row["labels"]) for row in encoded.dataset]
    assert result.tokens["trained"] == 2 * sum(answers) and result.tokens["real"] == 2 * sum(encoded.lengths)
    assert result.tokens["left_out"] == 0 and result.tokens["truncated"] == encoded.truncated
    assert result.labels == splits.test["output"].tolist() and result.questions == splits.test["input"].tolist()
    assert result.test["loss"] == pytest.approx(sum(result.answer_nats) / sum(result.answer_tokens))

    reloaded, tokenizer = load_trained(answering, folder), load_tokenizer(answering.model)
    limit = answering.max_new_tokens
    assert generate(reloaded, tokenizer, splits.test, max_new_tokens=limit) == result.predictions
    losses = answer_losses(reloaded, tokenizer, encode_pairs(splits.test, tokenizer, None))
    assert losses[:, 0] == pytest.approx(result.answer_nats, rel=1e-4)
    untrained = answer_losses(load_for(answering), tokenizer, encode_pairs(splits.test, tokenizer, None))
    assert losses[:, 0].sum() < untrained[:, 0].sum()


@pytest.mark.slow  # to resume goes one way in both tasks
def test_an_answering_model_resumes_and_ends_the_same(answering, monkeypatch, tmp_path, capsys):
    few_layers(monkeypatch)
    result = run(answering)
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / "interrupted"))
    with pytest.raises(KeyboardInterrupt):
        run(answering, callbacks=(PullThePlug(step=3),))
    resumed = run(answering)
    assert "resuming from checkpoint-2" in capsys.readouterr().out
    assert resumed.loss_by_step == result.loss_by_step
    assert resumed.test == result.test and resumed.predictions == result.predictions
    assert resumed.epochs == result.epochs and resumed.tokens == result.tokens


def test_the_most_similar_answer_needs_no_model(smoke, capsys):
    experiment = smoke.generation.experiment("retrieval")
    result, splits = run(experiment), load_splits(experiment)
    assert "chrF" in capsys.readouterr().out
    assert set(result.predictions) <= set(splits.train["output"]) and result.questions == splits.test["input"].tolist()
    assert "loss" not in result.test and "weights" not in result.provenance
    assert result.test["longest_overlap"] == max(len(words(answer)) for answer in result.predictions)
    assert Result.load(run_folder(experiment) / "result.json") == result


@pytest.mark.parametrize("method", ["base", "few-shot"])
def test_a_prompted_model_is_examined_and_not_trained(smoke, monkeypatch, method):
    few_layers(monkeypatch)
    result = run(smoke.generation.experiment(method, test_size=2))
    assert len(result.predictions) == len(result.answer_nats) == 2 and result.test["perplexity"] > 1
    assert result.parameters == result.memory == {} and result.epochs == result.loss_by_step == []
    assert result.seconds["training"] == 0 and result.seconds["evaluation"] > 0
    assert "weights" in result.provenance


def test_all_that_is_padded_is_trained_on_in_the_original_recipe(smoke):
    original = smoke.generation.variant("original", train_size=8, max_length=96, batch_size=4, epochs=2)
    tokenizer, train = load_tokenizer(original.model), load_splits(original).train
    encoded = encode_pairs(train, tokenizer, original.max_length)
    tokens = training.tokens_of_training(original, encoded, tokenizer)
    assert tokens["padded"] == 2 * 8 * 96 and tokens["trained"] == 2 * 8 * 95
    assert tokens["real"] == 2 * sum(encoded.lengths)
    batch = objective_of(original).collator(original, tokenizer)([encoded.dataset[0]])
    assert batch["input_ids"].shape == (1, 96) and torch.equal(batch["labels"], batch["input_ids"])


def test_activation_checkpointing_changes_no_gradient(smoke, tmp_path):
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(0)
    base = LlamaForCausalLM(config)
    ids = torch.randint(3, 64, (2, 7))
    rows = [{"input_ids": row, "labels": row} for row in ids]
    losses = []
    for on in (False, True):
        experiment = smoke.generation.experiment("lora", activation_checkpointing=on)
        arguments = training.training_arguments(experiment, detect(), tmp_path)
        arguments.eval_strategy = "no"
        trainer = Trainer(
            model=apply_method(copy.deepcopy(base), experiment),
            args=arguments,
            train_dataset=rows * 4,
            compute_loss_func=objective_of(experiment).loss,
        )
        trainer.train()
        assert bool(getattr(trainer.args, training.CHECKPOINTING)) == on
        losses.append([entry[name] for entry in trainer.state.log_history[:2] for name in ("loss", "grad_norm")])
    assert losses[0] == pytest.approx(losses[1]) and losses[0][1] > 0


def test_gemma_3_trains_on_text_alone():
    text = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14, "vision_use_head": False}
    model = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4))
    experiment = load_profile("large").generation.experiment("lora", weights="fp32")
    tuned = apply_method(model, experiment).train()
    ids = torch.randint(5, 60, (2, 9))
    loss = objective_of(experiment).loss(tuned(input_ids=ids, attention_mask=torch.ones_like(ids)), ids, 16)
    loss.backward()
    trained = {name for name, parameter in tuned.named_parameters() if parameter.grad is not None}
    assert trained and all("language_model" in name and "lora_" in name for name in trained)
    assert trained == {name for name, parameter in tuned.named_parameters() if parameter.requires_grad}
