"""Questions and answers as a chat model reads them, and which of their tokens it is judged on."""

from collections.abc import Sequence
from typing import Any

import datasets
import jinja2
import pandas as pd
import torch
from transformers import DataCollatorForSeq2Seq

from loralab.messages import message
from loralab.train.tokens import Encoded

IGNORED = -100  # what torch's cross-entropy leaves out
Turn = dict[str, str]
Examples = Sequence[tuple[str, str]]  # questions and their answers


def takes_system(tokenizer: Any) -> bool:
    """Whether the model's chat template has a place for a system message."""
    mark = "a system message"
    try:
        return mark in tokenizer.apply_chat_template([_turn("system", mark), _turn("user", "u")], tokenize=False)
    except jinja2.TemplateError:
        return False


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


def conversation(tokenizer: Any, instruction: str, question: str, examples: Examples = ()) -> list[Turn]:
    """The turns before the answer: the instruction as system message, examples as earlier turns, the question.

    Where the template has no system message, the instruction opens the first question.
    """
    turns = [_turn(role, text) for pair in examples for role, text in zip(("user", "assistant"), pair, strict=True)]
    turns.append(_turn("user", question))
    if takes_system(tokenizer):
        return [_turn("system", instruction), *turns]
    return [_turn("user", f"{instruction}\n\n{turns[0]['content']}"), *turns[1:]]


def conversations(tokenizer: Any, frame: pd.DataFrame, examples: Examples = ()) -> list[list[Turn]]:
    """`conversation` of each row of a table with `instruction`, `input` and, if there were earlier turns, `history`."""
    earlier = frame["history"] if "history" in frame else [()] * len(frame)
    rows = zip(frame["instruction"], frame["input"], earlier, strict=True)
    return [conversation(tokenizer, start, question, [*examples, *turns]) for start, question, turns in rows]


def _ids(tokenizer: Any, turns: list[Turn], asking: bool) -> list[int]:
    # enable_thinking is Qwen3's: no room for a monologue before the answer. Other templates never look at it.
    return tokenizer.apply_chat_template(turns, add_generation_prompt=asking, return_dict=False, enable_thinking=False)


def prompt_ids(tokenizer: Any, turns: list[Turn]) -> list[int]:
    """The token ids of a conversation up to where the model's answer begins."""
    return _ids(tokenizer, turns, asking=True)


def answer_ids(tokenizer: Any, turns: list[Turn], answer: str, end: int) -> list[int]:
    """The ids that follow the prompt when the model has answered: the answer's and the end-of-turn token's, `end`.

    What the template adds after the end of the turn (a line break) is not among them: the model has stopped by then.
    Raises ValueError if the template writes an answered turn in another way than it asks for one.
    """
    prompt = prompt_ids(tokenizer, turns)
    whole = _ids(tokenizer, [*turns, _turn("assistant", answer)], asking=False)
    if whole[: len(prompt)] != prompt:
        raise ValueError(message("template_not_prefix", given=tokenizer.name_or_path))
    rest = whole[len(prompt) :]
    return rest[: len(rest) - rest[::-1].index(end)]


def end_of_turn(tokenizer: Any) -> int:
    """The id of the token that ends the model's turn, as its template writes it.

    Raises ValueError if there is no special token after an answer.
    """
    asked = [_turn("user", "u")]
    whole = _ids(tokenizer, [*asked, _turn("assistant", "a")], asking=False)
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    for token in reversed(whole[len(prompt_ids(tokenizer, asked)) :]):
        if token in special:
            return token
    raise ValueError(message("template_without_end", given=tokenizer.name_or_path))


def row_after(start: int, ids: list[int]) -> dict[str, list[int]]:
    """A row of token ids that is judged on those from `start` on."""
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [IGNORED] * start + ids[start:]}


def encode_pairs(frame: pd.DataFrame, tokenizer: Any, max_length: int | None, examples: Examples = ()) -> Encoded:
    """Encode a table with `instruction`, `input` and `output`: labels are the ids of the answer and its end, else -100.

    Rows are cut at `max_length` tokens (None: not); one that would lose its whole answer is left out and counted.
    `examples` are question-answer pairs put before each question. Raises ValueError if the table is empty, if nothing
    of any answer is left, if the template cannot be used (see `answer_ids`), or if `max_length` or, naming it, an uncut
    row is more than the model takes.
    """
    if frame.empty:
        raise ValueError(message("split_empty"))
    limit, end = tokenizer.model_max_length, end_of_turn(tokenizer)
    if max_length is not None and max_length > limit:
        raise ValueError(message("max_length_too_large", given=max_length, limit=limit))
    rows: list[dict[str, list[int]]] = []
    left_out, truncated = [], 0
    asked = conversations(tokenizer, frame, examples)
    for position, (turns, answer) in enumerate(zip(asked, frame["output"], strict=True)):
        prompt = prompt_ids(tokenizer, turns)
        ids = prompt + answer_ids(tokenizer, turns, answer, end)
        kept = ids[:max_length]
        if len(kept) > limit:
            raise ValueError(message("row_too_long", row=frame.index[position], given=len(kept), limit=limit))
        truncated += len(kept) < len(ids)
        if len(kept) > len(prompt):
            rows.append(row_after(len(prompt), kept))
        else:
            left_out.append(position)
    if not rows:
        raise ValueError(message("answers_cut_away", given=max_length))
    lengths = [len(row["input_ids"]) for row in rows]
    return Encoded(datasets.Dataset.from_list(rows), lengths, truncated, tuple(left_out))


class PairCollator:
    """Rows of `encode_pairs` to a batch of tensors (rows × longest row, or × `pad_to` tokens).

    Padded on the tokenizer's side. Padding gets label -100. With `loss_on` "all" every position is its own label
    instead, prompt and padding too: what the course's original recipe did.
    """

    def __init__(self, tokenizer: Any, loss_on: str = "answer", pad_to: int | None = None) -> None:
        padding = "max_length" if pad_to else "longest"
        self.pad = DataCollatorForSeq2Seq(tokenizer, padding=padding, max_length=pad_to, label_pad_token_id=IGNORED)
        self.loss_on = loss_on

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = dict(self.pad(rows))
        if self.loss_on == "all":
            batch["labels"] = batch["input_ids"].clone()
        return batch

    def trained_tokens(self, rows: Sequence[dict[str, Any]]) -> int:
        """How many tokens of the rows, padded together, are trained on; the first of a row has nothing before it."""
        return int((self(list(rows))["labels"][:, 1:] != IGNORED).sum())


def from_first_judged(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with labels of the last tokens alone, and `logits_to_keep`, which asks a model for as many logits.

    From the token before the first that any row is judged on: of what all rows only read no logits are needed.
    """
    before = int((batch["labels"][:, 1:] != IGNORED).any(dim=0).int().argmax())
    labels = batch["labels"][:, before:]
    return batch | {"labels": labels, "logits_to_keep": labels.shape[1]}
