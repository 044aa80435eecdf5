"""Train one model for one experiment with transformers' Trainer: the same function for every method."""

import json
import time
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.data_loader import prepare_data_loader
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from loralab.chat import IGNORED, PairCollator, encode_pairs
from loralab.data import Splits
from loralab.experiment import Experiment, Outcome, write_atomically
from loralab.generation import examine, row_losses, token_losses
from loralab.hardware import Device
from loralab.messages import clock, message
from loralab.metrics import score
from loralab.models import apply_method, count_parameters, load_for, load_tokenizer
from loralab.peak import PeakMemory
from loralab.tokenization import BatchesByLength, Encoded, batches_by_length, count_tokens, encode

ARGUMENTS = {field.name for field in fields(TrainingArguments)}
EVALUATION_BATCH = 64
STAMP = "loralab.json"
SCORES = ("accuracy", "f1", "mcc", "loss")
# transformers renamed it; the lowest version that the course allows has the old name alone.
CHECKPOINTING = next(name for name in ("activation_checkpointing", "gradient_checkpointing") if name in ARGUMENTS)


def summed_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int) -> torch.Tensor:
    """Cross-entropy (nats) summed over what this batch is judged on, per item of the whole optimizer step.

    An item is a row of a classifier's logits (rows × classes), or a trained token of a language model's (rows × tokens
    × vocabulary). So gradient accumulation gives the gradient of one large batch, however uneven its parts. Left to
    itself, a sequence classifier returns each part's mean and Trainer does not divide their sum.
    """
    if outputs.logits.ndim == 3:
        return token_losses(outputs.logits, labels).sum() / num_items_in_batch
    return nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="sum") / num_items_in_batch


def share(rows: list[Any], collate: Callable[[Any], Any], process: int, processes: int) -> dict[str, torch.Tensor]:
    """One process's part of a batch: its rows `process`, `process + processes`, …, as wide as the whole batch.

    A process for which no row is left gets the first one with every label -100. It has to take part in the step, and
    such a row adds neither loss nor item.
    """
    mine = slice(process, None, processes) if process < len(rows) else slice(1)
    part = {name: values[mine] for name, values in collate(rows).items()}
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
        accelerator = self.accelerator
        collate = partial(
            share, collate=self.data_collator, process=accelerator.process_index, processes=accelerator.num_processes
        )
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=collate)
        # Shared out already. Left to accelerator.prepare, processes would take whole batches in turn, so that a step
        # is larger the more there are, and a short batch that is not the last would be dropped.
        return prepare_data_loader(loader, accelerator.device, num_processes=1, process_index=0, put_on_device=True)

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
    """Times training without evaluation and saving, reports progress, and stamps each checkpoint as whole.

    The stamp is written last and holds where the checkpoint comes from, so that a torn checkpoint, or one of other
    code, data or weights, is never resumed.
    """

    def __init__(self, name: str, provenance: dict[str, str], memory: PeakMemory) -> None:
        self.name, self.provenance, self.memory = name, provenance, memory
        self.seconds = 0.0
        self._epoch_started = 0.0
        self._steps_done_before = 0
        self._started = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note where this session starts, for the time left."""
        self._started, self._steps_done_before = time.perf_counter(), state.global_step

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._epoch_started = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the clock: evaluation and saving come after this."""
        self.seconds += time.perf_counter() - self._epoch_started

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say now and then how far it is and how long it will take."""
        if state.is_world_process_zero and state.global_step % max(1, state.max_steps // 50) == 0:
            done = state.global_step - self._steps_done_before
            left = (time.perf_counter() - self._started) / done * (state.max_steps - state.global_step)
            line = message("progress", name=self.name, step=state.global_step, steps=state.max_steps, left=clock(left))
            print(f"\r{line:<78}", end="", flush=True)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stamp the checkpoint once every process has written its part."""
        PartialState().wait_for_everyone()
        if not state.is_world_process_zero:
            return
        stamp = {"provenance": self.provenance, "seconds": self.seconds, "memory": self.memory.result}
        write_atomically(Path(args.output_dir) / f"checkpoint-{state.global_step}" / STAMP, json.dumps(stamp))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Clear the progress line."""
        if state.is_world_process_zero:
            print("\r" + " " * 78 + "\r", end="", flush=True)


def training_arguments(experiment: Experiment, device: Device, folder: Path) -> TrainingArguments:
    """The experiment in Trainer's words."""
    classifies = experiment.task == "classification"
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=experiment.epochs,
        per_device_train_batch_size=experiment.batch_size,
        gradient_accumulation_steps=experiment.gradient_accumulation_steps,
        learning_rate=experiment.learning_rate,
        weight_decay=experiment.weight_decay,
        warmup_steps=experiment.warmup_ratio,
        seed=experiment.seed,
        fp16=experiment.precision == "fp16",
        bf16=experiment.precision == "bf16",
        per_device_eval_batch_size=EVALUATION_BATCH if classifies else experiment.batch_size,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        **({CHECKPOINTING: True} if experiment.activation_checkpointing else {}),
        label_names=["labels"],
        disable_tqdm=True,
        report_to="none",
        use_cpu=device.kind == "cpu",
        dataloader_pin_memory=device.kind == "cuda",
        ddp_find_unused_parameters=True,  # what sees images gets no gradient from text
    )


def by_length(encoded: Encoded) -> tuple[Any, np.ndarray]:
    """The rows from short to long, so that evaluation pads little, and the order that puts them there."""
    order = np.argsort(encoded.lengths, kind="stable")
    return encoded.dataset.select(order), order


def class_scores(output: EvalPrediction) -> dict[str, float]:
    """Accuracy, F1 and MCC of logits, in the form that Trainer asks for."""
    return score(output.predictions.argmax(axis=1).tolist(), output.label_ids.tolist())


def answer_scores(output: EvalPrediction) -> dict[str, float]:
    """Loss (nats a trained token, each of one weight) and perplexity, in the form that Trainer asks for."""
    nats, tokens = output.predictions.sum(axis=0)
    return {"token_loss": float(nats / tokens), "perplexity": float(np.exp(nats / tokens))}


def predict(trainer: Trainer, encoded: Encoded) -> tuple[np.ndarray, dict[str, float]]:
    """The logits (rows × classes, in the rows' order) of a set, and Trainer's metrics on it."""
    rows, order = by_length(encoded)
    output = trainer.predict(rows, metric_key_prefix="test")
    logits = np.empty_like(output.predictions)
    logits[order] = output.predictions
    return logits, output.metrics


def largest_step(lengths: list[int], experiment: Experiment) -> int:
    """The step, counted from 0 and not the first, whose batches hold the most padded tokens."""
    per_step = experiment.gradient_accumulation_steps
    sizes: list[int] = []
    for epoch in range(experiment.epochs):
        batches = batches_by_length(lengths, experiment.batch_size, experiment.seed, epoch)
        padded = [count_tokens(lengths, [batch])["padded"] for batch in batches]
        sizes += [max(padded[i : i + per_step]) for i in range(0, len(padded), per_step)]
    return max(range(min(1, len(sizes) - 1), len(sizes)), key=sizes.__getitem__)


def read_stamp(checkpoint: Path) -> dict[str, Any] | None:
    """A checkpoint's stamp; None if it has none that can be read, and so may be torn."""
    try:
        stamp = json.loads((checkpoint / STAMP).read_text(encoding="utf-8"))
        return stamp if {"provenance", "seconds", "memory"} <= set(stamp) else None
    except (OSError, ValueError):
        return None


def last_whole_checkpoint(folder: Path, provenance: dict[str, str]) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that was finished and comes from this code, data and weights, with its stamp."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]), reverse=True):
        stamp = read_stamp(checkpoint)
        if stamp and stamp["provenance"] == provenance:
            return checkpoint, stamp
    return None


def train(
    experiment: Experiment,
    splits: Splits,
    device: Device,
    folder: Path,
    provenance: dict[str, str],
    callbacks: tuple[TrainerCallback, ...] = (),
) -> tuple[nn.Module, Outcome]:
    """Train, evaluate on validation after each epoch, and on test once at the end; the model and what was measured.

    An experiment that is not examined ends before the test.

    Resumes from the last whole checkpoint in `folder` if there is one. `callbacks` are added to Trainer's. Where
    several processes were launched, all of them have to call this with the same arguments, and each gets the same in
    return but for times and memory, which are its own.
    """
    tokenizer = load_tokenizer(experiment.model)
    classifies = experiment.task == "classification"
    to_rows = encode if classifies else encode_pairs
    encoded = {name: to_rows(frame, tokenizer, experiment.max_length) for name, frame in splits.items()}
    lengths = encoded["train"].lengths
    model = apply_method(load_for(experiment), experiment)
    parameters = count_parameters(model)
    memory = PeakMemory(largest_step(lengths, experiment))
    timer = Clock(experiment.key, provenance, memory)
    resume = last_whole_checkpoint(folder, provenance)
    if resume:
        timer.seconds, memory.result = resume[1]["seconds"], resume[1]["memory"]
    trainer = LengthTrainer(
        lengths=lengths,
        model=model,
        args=training_arguments(experiment, device, folder),
        train_dataset=encoded["train"].dataset,
        eval_dataset=by_length(encoded["validation"])[0],
        data_collator=collator(experiment, tokenizer),
        compute_loss_func=summed_loss,
        compute_metrics=class_scores if classifies else answer_scores,
        preprocess_logits_for_metrics=None if classifies else row_losses,
        callbacks=[timer, memory, *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    if resume and trainer.is_world_process_zero():
        print(message("resuming", name=experiment.key, checkpoint=resume[0].name))
    trainer.train(resume_from_checkpoint=str(resume[0]) if resume else None)
    history = trainer.state.log_history
    evaluations = [entry for entry in history if "eval_loss" in entry]
    started = time.perf_counter()
    found: dict[str, Any] = {"test": {}, "predictions": [], "labels": []}
    if classifies:
        epochs = [{name: entry[f"eval_{name}"] for name in SCORES} for entry in evaluations]
        if experiment.examined:
            logits, metrics = predict(trainer, encoded["test"])
            found = {
                "test": {name: metrics[f"test_{name}"] for name in SCORES},
                "predictions": logits.argmax(axis=1).tolist(),
                "labels": splits.test["label"].tolist(),
            }
    else:
        epochs = [{"loss": entry["eval_token_loss"], "perplexity": entry["eval_perplexity"]} for entry in evaluations]
        # Trainer leaves its mixed precision on the model; the base was examined without.
        model = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        if experiment.examined:
            found = examine(model, tokenizer, experiment, splits.train, splits.test)
    evaluation_seconds = sum(entry["eval_runtime"] for entry in evaluations) + time.perf_counter() - started
    outcome = Outcome(
        **found,
        epochs=epochs,
        loss_by_step=[entry["loss"] for entry in history if "loss" in entry],
        learning_rate_by_step=[entry["learning_rate"] for entry in history if "loss" in entry],
        parameters=parameters,
        seconds={"training": timer.seconds, "evaluation": evaluation_seconds},
        memory=memory.result,
        tokens=tokens_of_training(experiment, encoded["train"], tokenizer),
    )
    return model, outcome


def collator(experiment: Experiment, tokenizer: Any) -> Any:
    """What makes a batch of the experiment's rows."""
    if experiment.task == "classification":
        return DataCollatorWithPadding(tokenizer)
    pad_to = experiment.max_length if experiment.padding == "max_length" else None
    return PairCollator(tokenizer, experiment.loss_on, pad_to)


def tokens_of_training(experiment: Experiment, encoded: Encoded, tokenizer: Any) -> dict[str, int]:
    """Tokens over the whole training: `real`, `padded`, `trained` (generation); rows `truncated` and `left_out`."""
    batches = [
        batch
        for epoch in range(experiment.epochs)
        for batch in batches_by_length(encoded.lengths, experiment.batch_size, experiment.seed, epoch)
    ]
    counted = count_tokens(encoded.lengths, batches) | {"truncated": encoded.truncated}
    if experiment.task == "classification":
        return counted
    if experiment.padding == "max_length":
        counted["padded"] = sum(map(len, batches)) * (experiment.max_length or 0)
    collate = collator(experiment, tokenizer)
    trained = sum(collate.trained_tokens([encoded.dataset[row] for row in batch]) for batch in batches)
    return counted | {"trained": trained, "left_out": len(encoded.left_out)}
