"""Train one model for one experiment with transformers' Trainer: the same function for every method."""

import datetime
import gc
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from loralab.data.splits import Splits
from loralab.experiment import Experiment, Outcome, seal
from loralab.files import file_hashes, sync, write_atomically
from loralab.messages import at_work, clock, message, scientific
from loralab.train.chat import IGNORED
from loralab.train.hardware import Device
from loralab.train.models import CHECKPOINTING, apply_method, count_parameters, load_for, shared_tokenizer
from loralab.train.objectives import Objective, objective_of
from loralab.train.peak import PeakMemory
from loralab.train.tokens import BatchesByLength, Encoded, batches_by_length, count_tokens

STAMP = "loralab.json"
ORIGIN = ("data", "recipe", "weights")  # of a provenance: what a checkpoint of another is not resumed with
# Seconds left of a training from which on a checkpoint is worth the time that it takes to reach a slow disk.
LONG = 600
T = TypeVar("T")


def share(rows: list[Any], collate: Callable[[Any], Any], process: int, processes: int) -> dict[str, Any]:
    """One process's part of a batch: its rows `process`, `process + processes`, …, as wide as the whole batch.

    A process for which no row is left gets the first one with every label -100. It has to take part in the step, and
    such a row adds neither loss nor item.
    """
    mine = slice(process, None, processes) if process < len(rows) else slice(1)
    part = {name: v[mine] if isinstance(v, torch.Tensor) else v for name, v in collate(rows).items()}
    if process >= len(rows):
        part["labels"] = torch.full_like(part["labels"], IGNORED)
    return part


class LengthTrainer(Trainer):
    """Trainer with batches of similar length, the same for every method with the same seed.

    `per_device_train_batch_size` is that of all processes together: each takes its share of every batch.
    """

    def __init__(self, *, lengths: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lengths = lengths

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The training batches, as `batches_by_length` orders them."""
        batches = BatchesByLength(self.lengths, self.args.per_device_train_batch_size, self.args.seed)
        here = self.accelerator
        collate = partial(share, collate=self.data_collator, process=here.process_index, processes=here.num_processes)
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=collate)
        # Shared out already. Left to accelerator.prepare, processes would take whole batches in turn, so that a step
        # is larger the more there are, and a short batch that is not the last would be dropped.
        return prepare_data_loader(loader, here.device, num_processes=1, process_index=0, put_on_device=True)

    def evaluation_loop(self, *arguments: Any, **named: Any) -> Any:
        """Trainer's, with a classifier's loss (nats) over each row once, however many processes there are.

        Processes fill up their last batches with rows that were there before. Trainer takes those out of predictions
        and labels, but has averaged the loss with them.
        """
        output = super().evaluation_loop(*arguments, **named)
        if self.accelerator.num_processes > 1 and output.label_ids.ndim == 1:
            logits, labels = torch.from_numpy(output.predictions), torch.from_numpy(output.label_ids)
            loss = nn.functional.cross_entropy(logits.float(), labels)
            output.metrics[f"{named['metric_key_prefix']}_loss"] = loss.item()
        return output


class Clock(TrainerCallback):
    """Times training, reports progress and the time left now and then, and stamps each checkpoint as whole.

    Evaluation and saving, which come after an epoch's end, are not timed. The stamp is written last and holds where the
    checkpoint comes from and each file's hash, so that one that is torn, damaged or another's is never resumed. Where
    checkpoints are kept apart from results, a long training's newest is copied to its result's place, `kept`, too.
    """

    def __init__(self, name: str, provenance: dict[str, Any], memory: PeakMemory, kept: Path) -> None:
        self.name, self.provenance, self.memory, self.kept = name, provenance, memory, kept
        self.seconds = self._started = self._epoch_started = self._left = 0.0
        self._steps_done_before = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started, self._steps_done_before = time.perf_counter(), state.global_step

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._epoch_started = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self._epoch_started

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and state.global_step % max(1, state.max_steps // 50) == 0:
            done = state.global_step - self._steps_done_before
            self._left = (time.perf_counter() - self._started) / done * (state.max_steps - state.global_step)
            told = {"step": state.global_step, "steps": state.max_steps, "left": clock(self._left)}
            line = message("progress", name=self.name, **told)
            print(f"\r{line:<78}", end="", flush=True)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        PartialState().wait_for_everyone()  # until every process has written its part
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            for path in (*checkpoint.rglob("*"), checkpoint):
                sync(path)
            stamp: dict[str, Any] = {"key": self.name, "provenance": self.provenance, "seconds": self.seconds}
            stamp |= {"memory": self.memory.result, "files": file_hashes(checkpoint)}
            write_atomically(checkpoint / STAMP, json.dumps(stamp | {"seal": seal(stamp)}))
            if self.kept != checkpoint.parent and self._left >= LONG:
                keep_copy(checkpoint, self.kept)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            print("\r" + " " * 78 + "\r", end="", flush=True)  # the progress line, cleared


class OnlyFinite(TrainerCallback):
    """Ends a training with `refuse_not_finite` at the first training or validation loss that is no number."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        refuse_not_finite(logs.get("loss", logs.get("eval_loss", 0.0)), self.experiment, state.global_step)


def refuse_not_finite(loss: float, experiment: Experiment, step: int) -> None:
    """Raises FloatingPointError, saying what to change, if a loss after that many steps is infinite or no number."""
    if not math.isfinite(loss):
        key = "not_finite_fp16" if experiment.precision == "fp16" else "not_finite_rate"
        remedy = message(key, rate=scientific(experiment.learning_rate))
        raise FloatingPointError(message("not_finite", name=experiment.key, step=step, loss=loss, remedy=remedy))


def training_arguments(experiment: Experiment, device: Device, folder: Path) -> TrainingArguments:
    """The experiment in Trainer's words."""
    return TrainingArguments(
        seed=experiment.seed, num_train_epochs=experiment.epochs,
        per_device_train_batch_size=experiment.batch_size,
        gradient_accumulation_steps=experiment.gradient_accumulation_steps,
        learning_rate=experiment.learning_rate, warmup_steps=experiment.warmup_ratio,
        weight_decay=experiment.weight_decay,
        **({CHECKPOINTING: True} if experiment.activation_checkpointing else {}),
        fp16=experiment.precision == "fp16", bf16=experiment.precision == "bf16",
        use_cpu=device.kind == "cpu", dataloader_pin_memory=device.kind == "cuda",
        ddp_find_unused_parameters=True,  # what sees images gets no gradient from text
        label_names=["labels"],
        per_device_eval_batch_size=objective_of(experiment).evaluation_batch(experiment),
        eval_strategy="epoch", save_strategy="epoch", save_total_limit=2, output_dir=str(folder),
        logging_steps=1, logging_nan_inf_filter=False, disable_tqdm=True, report_to="none",
    )  # fmt: skip


def largest_step(lengths: list[int], experiment: Experiment) -> int:
    """The step, counted from 0 and not the first, whose batches hold the most padded tokens."""
    per_step = experiment.gradient_accumulation_steps
    sizes: list[int] = []
    for epoch in range(experiment.epochs):
        batches = batches_by_length(lengths, experiment.batch_size, experiment.seed, epoch)
        padded = [count_tokens(lengths, [batch])["padded"] for batch in batches]
        sizes += [max(padded[i : i + per_step]) for i in range(0, len(padded), per_step)]
    return max(range(min(1, len(sizes) - 1), len(sizes)), key=sizes.__getitem__)


def from_main(make: Callable[[], T]) -> T:
    """What `make` returns on the main process, which alone calls it, on all processes."""
    return broadcast_object_list([make() if PartialState().is_main_process else None])[0]


def checkpoint_folder(folder: Path, provenance: dict[str, Any]) -> Path:
    """Where a run's checkpoints go: its result's folder, or one in LORALAB_CHECKPOINTS, for a disk slow or small."""
    place, known = os.environ.get("LORALAB_CHECKPOINTS"), (provenance.get(name, "") for name in ORIGIN)
    return Path(place) / "-".join([folder.name, *map(str, known)]) if place else folder


def keep_copy(checkpoint: Path, folder: Path) -> None:
    """Copy a checkpoint to a result's folder, as the only one that results have beside them, if there is room.

    A copy that fails is said, and training goes on: the checkpoint itself is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if shutil.disk_usage(folder).free > 2 * sum(path.stat().st_size for path in checkpoint.rglob("*")):
            for other in folder.parent.glob("*/checkpoint-*"):
                remove_checkpoint(other)
            shutil.copytree(checkpoint, folder / checkpoint.name)
    except OSError as error:
        print(message("copy_failed", name=folder.name, error=error))


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove it, its files emptied first: what is deleted from Google Drive goes on taking room in its bin."""
    for path in checkpoint.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    shutil.rmtree(checkpoint)


def checkpoints(folder: Path, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Checkpoints, newest first, each with its stamp: {} if there is none that is whole and of that experiment."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]), reverse=True):
        try:
            stamp = json.loads((checkpoint / STAMP).read_text(encoding="utf-8"))
            good = stamp.pop("seal") == seal(stamp) and stamp["key"] == key
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            good = False
        yield checkpoint, stamp if good else {}


def last_whole(folder: Path, key: str) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that is as its stamp says, with that; newer ones are named and moved aside."""
    for checkpoint, stamp in checkpoints(folder, key):
        if stamp and stamp["files"].items() <= file_hashes(checkpoint).items():
            return checkpoint, stamp
        # Left where it is, Trainer would count it as one of the two that it keeps.
        aside = move_aside(checkpoint, folder)
        print(message("checkpoint_not_whole", name=key, checkpoint=checkpoint.name, aside=aside))
    return None


def move_aside(path: Path, folder: Path) -> str:
    """Move a run's folder, or something in it, out of the way; where it is now, within the folder of all results."""
    name = "-".join(dict.fromkeys((folder.name, path.name)))
    aside = f"aside/{name}-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S-%f}"
    (folder.parent.parent / "aside").mkdir(parents=True, exist_ok=True)
    shutil.move(path, folder.parent.parent / aside)  # which may be on another disk
    return aside


@lru_cache(maxsize=2)  # one of each task: a lesson's runs share their texts
def encode_splits(splits: Splits, objective: Objective, model: str, max_length: int | None) -> dict[str, Encoded]:
    """The splits' rows as a model reads them, by the splits' names."""
    tokenizer = shared_tokenizer(model)
    return {name: objective.encode(frame, tokenizer, max_length) for name, frame in splits.items()}


def train(
    experiment: Experiment, splits: Splits, device: Device, folder: Path, provenance: dict[str, Any],
    callbacks: tuple[TrainerCallback, ...] = (),
) -> tuple[nn.Module, Outcome]:  # fmt: skip
    """Train, evaluate on validation after each epoch, and on test once at the end; the model and what was measured.

    An experiment that is not examined ends before the test. Resumes from the last whole checkpoint, if there is one, in
    its `checkpoint_folder` or in `folder`, its result's. `callbacks` are added to Trainer's. Where several processes
    were launched, all of them have to call this with the same arguments, and each gets the same in return but for times
    and memory, which are its own.
    """
    if device.kind == "cuda":  # mixed precision leaves an earlier run's model in a reference cycle
        gc.collect()
    tokenizer, objective = shared_tokenizer(experiment.model), objective_of(experiment)
    with at_work(experiment.key):
        rows = encode_splits(splits, objective, experiment.model, experiment.max_length)
    lengths = rows["train"].lengths
    model = apply_method(load_for(experiment), experiment)
    parameters = count_parameters(model)
    memory = PeakMemory(largest_step(lengths, experiment))
    timer, place = Clock(experiment.key, provenance, memory, folder), checkpoint_folder(folder, provenance)
    resume = from_main(lambda: last_whole(place, experiment.key) or last_whole(folder, experiment.key))
    if resume:
        timer.seconds, memory.result = resume[1]["seconds"], resume[1]["memory"]
    trainer = LengthTrainer(
        lengths=lengths, model=model, args=training_arguments(experiment, device, place),
        train_dataset=rows["train"].dataset, eval_dataset=rows["validation"].by_length()[0],
        data_collator=objective.collator(experiment, tokenizer), compute_loss_func=objective.loss,
        compute_metrics=objective.scores, preprocess_logits_for_metrics=objective.reduce,
        callbacks=[timer, memory, OnlyFinite(experiment), *callbacks],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    if resume and trainer.is_world_process_zero():
        print(message("resuming", name=experiment.key, checkpoint=resume[0].name))
    trainer.train(resume_from_checkpoint=str(resume[0]) if resume else None)
    history = trainer.state.log_history
    evaluations = [entry for entry in history if "eval_loss" in entry]
    started = time.perf_counter()
    exam: dict[str, Any] = {"test": {}, "predictions": [], "labels": []}
    if experiment.examined:
        with at_work(experiment.key):
            exam = objective.examine(trainer, tokenizer, experiment, splits, rows["test"])
        refuse_not_finite(exam["test"]["loss"], experiment, trainer.state.global_step)
    evaluation_seconds = sum(entry["eval_runtime"] for entry in evaluations) + time.perf_counter() - started
    return model, Outcome(
        **exam, parameters=parameters, epochs=[objective.epoch(entry) for entry in evaluations],
        loss_by_step=[entry["loss"] for entry in history if "loss" in entry],
        learning_rate_by_step=[entry["learning_rate"] for entry in history if "loss" in entry],
        seconds={"training": timer.seconds, "evaluation": evaluation_seconds}, memory=memory.result,
        tokens=tokens_of_training(experiment, rows["train"], tokenizer),
    )  # fmt: skip


def tokens_of_training(experiment: Experiment, encoded: Encoded, tokenizer: Any) -> dict[str, int]:
    """Tokens over the whole training: `real`, `padded`, `trained` (generation); rows `truncated` and `left_out`."""
    batches: list[list[int]] = []
    for epoch in range(experiment.epochs):
        batches += batches_by_length(encoded.lengths, experiment.batch_size, experiment.seed, epoch)
    counted = count_tokens(encoded.lengths, batches) | {"truncated": encoded.truncated}
    return counted | objective_of(experiment).count(experiment, tokenizer, encoded, batches)
