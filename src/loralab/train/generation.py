"""What a language model answers, and how surprised it is by what it should have answered."""

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pandas as pd
import torch
from accelerate.utils import send_to_device
from torch import nn

from loralab.train.chat import (
    IGNORED,
    Examples,
    PairCollator,
    conversations,
    end_of_turn,
    from_first_judged,
    prompt_ids,
    row_after,
)
from loralab.train.tokens import Encoded, from_short_to_long

MOST_JUDGED = 4096  # tokens of answers at a time: in fp32 the logits of SmolLM2's vocabulary take 0.8 GB


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy (nats) of each label, rows × (tokens - 1): the logits at a token are judged by the next label.

    Zero where the label is -100. `logits` are rows × tokens × vocabulary, `labels` rows × tokens. Logits of more tokens
    than there are labels start with those of prompt tuning's virtual tokens, which are left out.
    """
    # The labels are moved, not the logits: of these, flat as they lie there, nothing is copied.
    targets = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    flat = logits[:, -labels.shape[1] :].flatten(0, 1).float()
    losses = nn.functional.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view_as(targets)[:, :-1]


def row_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss (nats) summed over each row's trained tokens, and their number: rows × 2."""
    counted = (labels[:, 1:] != IGNORED).sum(dim=1)
    return torch.stack([token_losses(logits, labels).sum(dim=1), counted.to(logits.device).float()], dim=1)


@torch.no_grad()
def answer_losses(model: nn.Module, tokenizer: Any, encoded: Encoded, batch_size: int = 8) -> np.ndarray:
    """For each encoded row (see `encode_pairs`), the loss (nats) summed over its answer, and its tokens: rows × 2."""
    model.eval()
    collate, losses = PairCollator(tokenizer), np.empty((len(encoded.lengths), 2))
    judged = [len(labels) - labels.count(IGNORED) for labels in encoded.dataset["labels"]]
    batches = from_short_to_long(encoded.lengths, batch_size)
    sizes = [max(1, MOST_JUDGED // max(judged[row] for row in batch)) for batch in batches]
    for chosen in [b[i : i + n] for b, n in zip(batches, sizes, strict=True) for i in range(0, len(b), n)]:
        batch = send_to_device(from_first_judged(collate([encoded.dataset[i] for i in chosen])), model.device)
        labels = batch.pop("labels")
        output = model(**batch)
        losses[chosen] = row_losses(output.logits, labels).cpu().numpy()
    return losses


def text_losses(model: nn.Module, tokenizer: Any, texts: Sequence[str], batch_size: int = 16) -> np.ndarray:
    """The loss (nats) summed over each plain text, no chat template around it, and its tokens: rows × 2."""
    rows = [row_after(1, ids) for ids in tokenizer(list(texts))["input_ids"]]
    encoded = Encoded(datasets.Dataset.from_list(rows), [len(row["input_ids"]) for row in rows], truncated=0)
    return answer_losses(model, tokenizer, encoded, batch_size)


@torch.no_grad()
def generate(
    model: nn.Module, tokenizer: Any, frame: pd.DataFrame, examples: Examples = (), batch_size: int | None = None,
    max_new_tokens: int = 80, repetition_penalty: float = 1.0,
) -> list[str]:  # fmt: skip
    """The model's greedy answers to a table's questions (`instruction`, `input`), in order.

    `batch_size` is in questions; without one it is 48, or 96 on a GPU.
    """
    model.eval()
    batch_size = batch_size or (96 if model.device.type == "cuda" else 48)
    prompts = [prompt_ids(tokenizer, turns) for turns in conversations(tokenizer, frame, examples)]
    end = end_of_turn(tokenizer)
    answers = [""] * len(prompts)
    for chosen in from_short_to_long([len(prompt) for prompt in prompts], batch_size):
        # On the left, so that every row's answer starts at the same column.
        batch = tokenizer.pad({"input_ids": [prompts[i] for i in chosen]}, padding_side="left", return_tensors="pt")
        output = model.generate(
            **batch.to(model.device),
            do_sample=False, temperature=None, top_p=None, top_k=None,
            repetition_penalty=repetition_penalty,  # said, for some models bring their own
            max_new_tokens=max_new_tokens, eos_token_id=end, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        texts = tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        for position, text in zip(chosen, texts, strict=True):
            answers[position] = text.strip()
    return answers
