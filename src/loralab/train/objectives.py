"""What differs between the tasks in training: one value each, which training, timing and planning ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from transformers import DataCollatorWithPadding, EvalPrediction, Trainer

from loralab.data.splits import Splits, editorials
from loralab.experiment import LORA_METHODS, Experiment
from loralab.messages import number, percent
from loralab.train.chat import Examples, PairCollator, encode_pairs, from_first_judged
from loralab.train.generation import answer_losses, generate, row_losses, text_losses, token_losses
from loralab.train.metrics import chrf_by_answer, score, score_answers
from loralab.train.tokens import Encoded, encode

CLASS_SCORES = ("accuracy", "f1", "mcc", "loss")
Fields = dict[str, Any]  # of an Outcome


@dataclass(frozen=True)
class Objective:
    """How a model is trained and judged in one task.

    `encode` turns a table into rows, given tokenizer and `max_length` (tokens); `collator` makes what turns rows into a
    batch, given experiment and tokenizer; `labels` gives labels of the right shape for ids (rows × tokens), where only
    shapes count. `loss` is Trainer's compute_loss_func, `reduce` what evaluation keeps of a batch's logits and labels
    (None: all of it), `scores` its compute_metrics, and `epoch` what a result keeps of Trainer's log of an evaluation.
    `evaluation_batch` is in rows. `examine` gives the fields of an Outcome about the test, `headline` its main score
    with the key of its message, and `count` what there is to count beside a training's real and padded tokens.
    """

    encode: Callable[[pd.DataFrame, Any, int | None], Encoded]
    collator: Callable[[Experiment, Any], Any]
    labels: Callable[[torch.Tensor], torch.Tensor]
    loss: Callable[[Any, torch.Tensor, torch.Tensor | int], torch.Tensor]
    reduce: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None
    scores: Callable[[EvalPrediction], dict[str, float]]
    epoch: Callable[[dict[str, float]], dict[str, float]]
    evaluation_batch: Callable[[Experiment], int]
    examine: Callable[[Trainer, Any, Experiment, Splits, Encoded], Fields]
    headline: Callable[[dict[str, float]], tuple[str, str]]
    count: Callable[[Experiment, Any, Encoded, Sequence[list[int]]], dict[str, int]]


# Both losses are summed over what a batch is judged on, per item of the whole optimizer step. So gradient accumulation
# gives the gradient of one large batch, however uneven its parts. Left to itself, a sequence classifier returns each
# part's mean and Trainer does not divide their sum.


def class_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int) -> torch.Tensor:
    """Cross-entropy (nats) of a classifier's logits (rows × classes), summed, per row of the optimizer step."""
    return nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="sum") / num_items_in_batch


def answer_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int) -> torch.Tensor:
    """Cross-entropy (nats) of logits (rows × tokens × vocabulary), summed, per trained token of the optimizer step."""
    return token_losses(outputs.logits, labels).sum() / num_items_in_batch


def class_scores(output: EvalPrediction) -> dict[str, float]:
    """Accuracy, F1 and MCC of logits, in the form that Trainer asks for."""
    return score(output.predictions.argmax(axis=1).tolist(), output.label_ids.tolist(), output.predictions.shape[1])


def answer_scores(output: EvalPrediction) -> dict[str, float]:
    """Loss (nats a trained token, each of one weight) and perplexity, in the form that Trainer asks for."""
    nats, tokens = output.predictions.sum(axis=0)
    return {"token_loss": float(nats / tokens), "perplexity": float(np.exp(nats / tokens))}


def _class_exam(trainer: Trainer, tokenizer: Any, experiment: Experiment, splits: Splits, encoded: Encoded) -> Fields:
    rows, order = encoded.by_length()
    output = trainer.predict(rows, metric_key_prefix="test")
    logits, labels = np.empty_like(output.predictions), splits.test["label"].tolist()
    logits[order] = output.predictions
    losses = nn.functional.cross_entropy(torch.from_numpy(logits).double(), torch.tensor(labels), reduction="none")
    kept = [round(loss, 6) for loss in losses.tolist()]
    return {
        "test": {name: output.metrics[f"test_{name}"] for name in CLASS_SCORES} | {"loss": fmean(kept)},
        "predictions": logits.argmax(axis=1).tolist(),
        "labels": labels,
        "test_losses": kept,
    }


def examine(
    model: nn.Module, tokenizer: Any, experiment: Experiment, train: pd.DataFrame, test: pd.DataFrame,
    examples: Examples = (),
) -> Fields:  # fmt: skip
    """The fields of an Outcome about the test: scores, answers, losses question by question.

    Twice as many sentences of editorials as there are test questions tell how much general English the model has kept.
    """
    encoded = encode_pairs(test, tokenizer, None, examples)
    losses = answer_losses(model, tokenizer, encoded, experiment.batch_size)
    decoding = {name: getattr(experiment, name) for name in ("max_new_tokens", "repetition_penalty")}
    answers = generate(model, tokenizer, test, examples, **decoding)
    other = text_losses(model, tokenizer, editorials()[: 2 * len(test)])
    nats, tokens = losses.sum(axis=0)
    references = test["output"].tolist()
    return {
        "test": {
            "loss": float(nats / tokens),
            "perplexity": float(np.exp(nats / tokens)),
            **score_answers(answers, references, train["output"].tolist()),
            "other_loss": float(np.divide(*other.sum(axis=0))),
        },
        "predictions": answers,
        "labels": references,
        "questions": test["input"].tolist(),
        "answer_chrf": chrf_by_answer(answers, references),
        "answer_nats": losses[:, 0].tolist(),
        "answer_tokens": losses[:, 1].astype(int).tolist(),
        "other_nats": other[:, 0].tolist(),
        "other_tokens": other[:, 1].astype(int).tolist(),
    }


def _answer_exam(trainer: Trainer, tokenizer: Any, experiment: Experiment, splits: Splits, encoded: Encoded) -> Fields:
    # Trainer leaves its mixed precision on the model; the base was examined without.
    model: Any = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    if experiment.weights == "fp32" and experiment.method in (*LORA_METHODS, "ia3"):
        model.merge_adapter()  # the same answers, faster; what is saved is the adapter all the same
    return examine(model, tokenizer, experiment, splits.train, splits.test)


def _answer_headline(test: dict[str, float]) -> tuple[str, str]:
    if "perplexity" in test:
        return "headline_perplexity", number(test["perplexity"], 1)
    return "headline_chrf", number(test["chrf"], 1)


def _pair_collator(experiment: Experiment, tokenizer: Any) -> PairCollator:
    pad_to = experiment.max_length if experiment.padding == "max_length" else None
    return PairCollator(tokenizer, experiment.loss_on, pad_to)


def _judged_collator(experiment: Experiment, tokenizer: Any) -> Callable[[list[Any]], dict[str, Any]]:
    collate = _pair_collator(experiment, tokenizer)
    return lambda rows: from_first_judged(collate(rows))


def _counts(experiment: Experiment, tokenizer: Any, encoded: Encoded, batches: Sequence[list[int]]) -> dict[str, int]:
    collate = _pair_collator(experiment, tokenizer)
    trained = sum(collate.trained_tokens([encoded.dataset[row] for row in batch]) for batch in batches)
    counted = {"trained": trained, "left_out": len(encoded.left_out)}
    if experiment.padding == "max_length":
        counted["padded"] = sum(map(len, batches)) * (experiment.max_length or 0)
    return counted


OBJECTIVES = {
    "classification": Objective(
        encode=encode,
        collator=lambda experiment, tokenizer: DataCollatorWithPadding(tokenizer),
        labels=lambda ids: torch.zeros(len(ids), dtype=torch.long),
        loss=class_loss,
        reduce=None,
        scores=class_scores,
        epoch=lambda entry: {name: entry[f"eval_{name}"] for name in CLASS_SCORES},
        evaluation_batch=lambda experiment: 64,
        examine=_class_exam,
        headline=lambda test: ("headline_accuracy", percent(test["accuracy"])),
        count=lambda experiment, tokenizer, encoded, batches: {},
    ),
    "generation": Objective(
        encode=encode_pairs,
        collator=_judged_collator,
        labels=torch.clone,
        loss=answer_loss,
        reduce=row_losses,
        scores=answer_scores,
        epoch=lambda entry: {"loss": entry["eval_token_loss"], "perplexity": entry["eval_perplexity"]},
        evaluation_batch=lambda experiment: experiment.batch_size,
        examine=_answer_exam,
        headline=_answer_headline,
        count=_counts,
    ),
}


def objective_of(experiment: Experiment) -> Objective:
    """The objective of the experiment's task."""
    return OBJECTIVES[experiment.task]
