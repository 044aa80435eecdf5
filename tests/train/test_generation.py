import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from loralab.data.splits import load_splits
from loralab.train.baselines import retrieved_answers
from loralab.train.chat import IGNORED, PairCollator, encode_pairs, end_of_turn, from_first_judged
from loralab.train.generation import answer_losses, generate, row_losses, text_losses, token_losses
from loralab.train.models import load_language_model, load_tokenizer
from loralab.train.objectives import answer_loss, examine

QUESTIONS = ["Hi?", "Why?", "What would you do, if it rained all day long and the roof leaked?", "Shall we go?"]
ANSWERS = ["Yes.", "Because it is so, and has been so since my grandfather was a boy.", "Sing!", "Not before noon."]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("smollm2-135m")


@pytest.fixture(scope="module")
def tiny(tokenizer):
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=len(tokenizer)
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():  # or every token would be as likely as any other
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(10)
    return model


def frame(answers=ANSWERS):
    return pd.DataFrame({"instruction": "Be brief.", "input": QUESTIONS[: len(answers)], "output": answers})


@pytest.fixture(scope="module")
def encoded(tokenizer):
    return encode_pairs(frame(), tokenizer, None)


def test_losses_worked_by_hand():
    # four tokens to choose from; uniform: ln 4. Then log-odds of ln 3 for token 2: it has 3/(3 + 3) of the probability
    logits = torch.zeros(1, 4, 4)
    logits[0, 1, 2] = math.log(3)
    labels = torch.tensor([[0, 1, 2, IGNORED]])
    expected = [math.log(4), math.log(2), 0]
    torch.testing.assert_close(token_losses(logits, labels), torch.tensor([expected]))
    torch.testing.assert_close(row_losses(logits, labels), torch.tensor([[sum(expected), 2.0]]))


def test_losses_are_torchs_own():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 7, 11, generator=generator)
    labels = torch.randint(0, 11, (3, 7), generator=generator)
    labels[:, :3] = IGNORED
    for row in range(3):
        expected = nn.functional.cross_entropy(logits[row, 2:-1], labels[row, 3:], reduction="sum")
        nats, tokens = row_losses(logits, labels)[row]
        assert nats == pytest.approx(float(expected), rel=1e-6) and tokens == 4


def test_losses_are_the_models_own(tiny, tokenizer, encoded):
    batch = PairCollator(tokenizer)(list(encoded.dataset))
    with torch.no_grad():
        output = tiny(**batch)
    nats, tokens = row_losses(output.logits, batch["labels"]).sum(dim=0)
    assert output.loss == pytest.approx(float(nats / tokens), rel=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_no_logits_of_what_no_row_is_judged_on_change_nothing(tiny, tokenizer, encoded, monkeypatch, side):
    monkeypatch.setattr(tokenizer, "padding_side", side)
    whole = PairCollator(tokenizer)(list(encoded.dataset))
    batch = from_first_judged(whole)
    with torch.no_grad():
        some, every = (tiny(**{name: b[name] for name in b if name != "labels"}).logits for b in (batch, whole))
    assert some.shape[1] == batch["labels"].shape[1] < every.shape[1]
    assert (batch["labels"][:, 0] == IGNORED).all() and (batch["labels"][:, 1] != IGNORED).any()
    torch.testing.assert_close(row_losses(some, batch["labels"]), row_losses(every, whole["labels"]))


def test_where_all_is_judged_all_logits_are_kept(tokenizer, encoded):
    batch = from_first_judged(PairCollator(tokenizer, "all", pad_to=64)(list(encoded.dataset)))
    assert torch.equal(batch["labels"], batch["input_ids"]) and batch["logits_to_keep"] == 64


def test_half_precision_logits_are_summed_in_full():
    logits = torch.randn(2, 50, 99, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    labels = torch.zeros(2, 50, dtype=torch.long)
    assert torch.equal(token_losses(logits, labels), token_losses(logits.float(), labels))


def test_a_row_alone_has_the_loss_it_has_in_a_padded_batch(tiny, tokenizer, encoded):
    alone = answer_losses(tiny, tokenizer, encoded, batch_size=1)
    np.testing.assert_allclose(answer_losses(tiny, tokenizer, encoded, batch_size=4), alone, rtol=1e-4)
    assert alone[:, 1].tolist() == [len(tokenizer.encode(answer)) + 1 for answer in ANSWERS]


def test_so_it_is_with_the_real_model(tokenizer):
    smollm2 = load_language_model("smollm2-135m")
    two = encode_pairs(frame(ANSWERS[:2]), tokenizer, None)
    alone, together = (answer_losses(smollm2, tokenizer, two, batch_size=size) for size in (1, 2))
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert 1 < alone[1, 0] / alone[1, 1] < 5  # not fluent by chance: ln 49152 is 10.8


def test_every_token_weighs_the_same():
    # logits that give 2 tokens 4 nats each and 20 tokens 1 nat each: (8 + 20) / 22
    labels = torch.full((2, 21), IGNORED)
    labels[0, 1:3] = labels[1, 1:] = 1
    logits = torch.zeros(2, 21, 2)
    for row, nats in enumerate((4, 1)):
        logits[row, :, 0] = math.log(math.exp(nats) - 1)
    nats, tokens = row_losses(logits, labels).sum(dim=0)
    assert float(nats / tokens) == pytest.approx(28 / 22, rel=1e-5) == pytest.approx(1.27, abs=0.003)
    loss = answer_loss(SimpleNamespace(logits=logits), labels, torch.tensor(22))
    assert float(loss) == pytest.approx(28 / 22, rel=1e-5)


def gradient(model, batches):
    items = sum((batch["labels"][:, 1:] != IGNORED).sum() for batch in batches)
    model.zero_grad()
    for batch in batches:
        labels = batch["labels"]
        inputs = {name: values for name, values in batch.items() if name != "labels"}
        answer_loss(model(**inputs), labels, items).backward()
    return torch.cat([parameter.grad.flatten().clone() for parameter in model.parameters()])


@pytest.mark.parametrize("loss_on", ["answer", "all"])
def test_accumulation_over_uneven_batches_gives_the_gradient_of_one(tiny, tokenizer, encoded, loss_on):
    collate = PairCollator(tokenizer, loss_on, pad_to=48)
    rows = list(encoded.dataset)
    whole = gradient(tiny, [collate(rows)])
    parts = gradient(tiny, [collate(rows[:1]), collate(rows[1:])])
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


def test_the_prompt_teaches_nothing(tiny, tokenizer):
    batch = PairCollator(tokenizer)(list(encode_pairs(frame(["Yes."]), tokenizer, None).dataset))
    logits = tiny(**{name: values for name, values in batch.items() if name != "labels"}).logits.detach()
    logits.requires_grad_(True)
    answer_loss(SimpleNamespace(logits=logits), batch["labels"], 3).backward()
    judged = logits.grad.abs().sum(dim=-1)[0] > 0
    places = judged.nonzero().flatten().tolist()
    assert places == list(range(len(judged) - 4, len(judged) - 1))


@pytest.mark.parametrize("penalty", [1.0, 1.2])
def test_an_answer_alone_is_the_one_in_a_padded_batch(tiny, tokenizer, penalty):
    decoding = {"max_new_tokens": 12, "repetition_penalty": penalty}
    alone = [generate(tiny, tokenizer, frame().iloc[[i]], **decoding)[0] for i in range(4)]
    assert generate(tiny, tokenizer, frame(), batch_size=4, **decoding) == alone
    assert len(set(alone)) > 1 and all(alone)


def test_a_penalty_out_of_all_proportion_lets_no_token_come_twice(tiny, tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "batch_decode", lambda ids, **_: [" ".join(map(str, row.tolist())) for row in ids])
    (free,), (never,) = (
        generate(tiny, tokenizer, frame(["Yes."]), max_new_tokens=60, repetition_penalty=penalty)
        for penalty in (1, 1e9)
    )
    assert len(set(free.split())) < 60 == len(set(never.split()))


class Scripted(LlamaForCausalLM):
    """Writes a script whatever it is asked."""

    def __init__(self, config, script):
        super().__init__(config)
        self.script, self.said = script, 0

    def forward(self, **inputs):
        output = super().forward(**inputs)
        output.logits = torch.full_like(output.logits, -100.0)
        output.logits[:, -1, self.script[min(self.said, len(self.script) - 1)]] = 0.0
        self.said += 1
        return output


def test_an_answer_stops_at_the_end_of_the_turn(tiny, tokenizer):
    script = [*tokenizer.encode(" Aye, at dawn!\n"), end_of_turn(tokenizer), *tokenizer.encode(" And then")]
    model = Scripted(tiny.config, script)
    assert generate(model, tokenizer, frame(["Yes."])) == ["Aye, at dawn!"]
    assert model.said == script.index(end_of_turn(tokenizer)) + 1


def test_an_answer_without_end_stops_after_80_tokens(tiny, tokenizer):
    model = Scripted(tiny.config, tokenizer.encode("so"))
    assert generate(model, tokenizer, frame(["Yes."])) == ["so" * 80]


def test_a_model_that_says_nothing_gives_an_empty_answer(tiny, tokenizer):
    assert generate(Scripted(tiny.config, [end_of_turn(tokenizer)]), tokenizer, frame()) == [""] * 4


def test_the_same_question_is_answered_the_same_way_twice(tiny, tokenizer):
    first = generate(tiny, tokenizer, frame(), max_new_tokens=8)
    torch.manual_seed(5)
    assert generate(tiny, tokenizer, frame(), max_new_tokens=8) == first


@pytest.mark.parametrize("side", ["left", "right"])
def test_plain_texts_are_judged_whole(tiny, tokenizer, monkeypatch, side):
    monkeypatch.setattr(tokenizer, "padding_side", side)
    texts = ["The roof leaks.", "It rained all day, and nobody came."]
    expected = []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text)])
        with torch.no_grad():
            loss = float(tiny(input_ids=ids, labels=ids).loss)
        expected.append([pytest.approx(loss * (ids.shape[1] - 1), rel=1e-4), ids.shape[1] - 1])
    assert text_losses(tiny, tokenizer, texts).tolist() == expected


def test_what_an_examination_holds(tiny, tokenizer, smoke):
    experiment = smoke.generation.experiment("base", max_new_tokens=4)
    splits = load_splits(experiment)
    found = examine(tiny, tokenizer, experiment, splits.train, splits.test)
    assert found["labels"] == splits.test["output"].tolist() and found["questions"] == splits.test["input"].tolist()
    assert len(found["predictions"]) == len(found["answer_nats"]) == len(splits.test)
    loss = sum(found["answer_nats"]) / sum(found["answer_tokens"])
    assert found["test"]["loss"] == pytest.approx(loss)
    assert found["test"]["perplexity"] == pytest.approx(math.exp(loss))
    assert len(found["other_nats"]) == len(found["other_tokens"]) == 2 * len(splits.test)
    assert len(set(found["other_nats"])) == 2 * len(splits.test)  # each sentence its own
    other = sum(found["other_nats"]) / sum(found["other_tokens"])
    assert found["test"]["other_loss"] == pytest.approx(other, rel=1e-12)
    scores = {"loss", "perplexity", "chrf", "distinct_1", "distinct_2", "words", "longest_overlap", "other_loss"}
    assert set(found["test"]) == scores
    examples = list(zip(splits.train["input"][:3], splits.train["output"][:3], strict=True))
    shown = examine(tiny, tokenizer, experiment, splits.train, splits.test, examples)
    assert shown["answer_tokens"] == found["answer_tokens"] and shown["answer_nats"] != found["answer_nats"]


def test_the_most_similar_question_lends_its_answer():
    train = pd.DataFrame({"input": ["Do you like rain?", "How old is your horse?"], "output": ["No.", "Old."]})
    questions = ["how old might the horse be", "Is rain nice?", "xyz"]
    assert retrieved_answers(train, questions) == ["Old.", "No.", "No."]
