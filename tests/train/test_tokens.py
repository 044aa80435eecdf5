import random

import numpy as np
import pandas as pd
import pytest

from loralab.lessons.by_hand import padding_waste
from loralab.train.models import load_tokenizer
from loralab.train.tokens import BatchesByLength, batches_by_length, count_tokens, encode


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("minilm-l6")


def frame(*texts):
    return pd.DataFrame({"text": texts, "label": [0] * len(texts)}, index=range(10, 10 + len(texts)))


def test_waste_worked_by_hand():
    # lengths 2, 4 | 3: 4 + 4 + 3 = 11 places for 9 tokens
    assert count_tokens([2, 4, 3], [[0, 1], [2]]) == {"real": 9, "padded": 11}
    assert padding_waste([2, 4, 3], [[0, 1], [2]]) == pytest.approx(2 / 11)


@pytest.mark.parametrize(("rows", "size"), [(1, 4), (7, 4), (1000, 16), (850, 16)])
def test_every_row_stands_in_one_batch(rows, size):
    lengths = np.random.default_rng(1).integers(3, 80, rows).tolist()
    batches = batches_by_length(lengths, size, seed=0, epoch=0)
    assert sorted(row for batch in batches for row in batch) == list(range(rows))
    assert sum(len(batch) < size for batch in batches) <= 1
    assert len(batches) == -(-rows // size)


def test_batches_depend_on_their_arguments_alone():
    lengths = list(range(3, 103))
    first = batches_by_length(lengths, 8, seed=3, epoch=1)
    random.seed(1)
    np.random.seed(1)
    assert batches_by_length(lengths, 8, seed=3, epoch=1) == first
    assert batches_by_length(lengths, 8, seed=3, epoch=2) != first
    assert batches_by_length(lengths, 8, seed=4, epoch=1) != first


def test_similar_lengths_waste_little():
    lengths = np.random.default_rng(0).integers(5, 60, 2000).tolist()
    shuffled = np.random.default_rng(0).permutation(2000)
    at_random = [shuffled[i : i + 16] for i in range(0, 2000, 16)]
    similar = batches_by_length(lengths, 16, seed=0, epoch=0)
    assert padding_waste(lengths, similar) < 0.05 < padding_waste(lengths, at_random)


def test_the_sampler_follows_its_epoch():
    sampler = BatchesByLength(list(range(1, 50)), 4, seed=0)
    sampler.set_epoch(2)
    assert list(sampler) == batches_by_length(list(range(1, 50)), 4, seed=0, epoch=2)
    assert len(sampler) == len(list(sampler))


def test_cuts_are_made_and_counted(tokenizer):
    encoded = encode(frame("good", "good " * 50, "good " * 6), tokenizer, max_length=8)
    assert encoded.lengths == [3, 8, 8]  # [CLS] and [SEP] count
    assert encoded.truncated == 1
    assert encoded.dataset[1]["input_ids"][-1] == tokenizer.sep_token_id


def test_without_max_length_a_text_that_is_too_long_is_named(tokenizer):
    assert encode(frame("good " * 300), tokenizer, max_length=None).lengths == [302]
    with pytest.raises(ValueError, match="Row 11 has 602 tokens, and the model takes 512"):
        encode(frame("good", "good " * 600), tokenizer, max_length=None)


def test_more_than_the_model_takes(tokenizer):
    with pytest.raises(ValueError, match="max_length is 600, and the model takes 512"):
        encode(frame("good"), tokenizer, max_length=600)


def test_a_bad_row_is_named_here_too(tokenizer):
    with pytest.raises(ValueError, match="Row 11 holds ' ', not a text"):
        encode(frame("good", " "), tokenizer, max_length=8)


def test_an_empty_split(tokenizer):
    with pytest.raises(ValueError, match="no rows"):
        encode(frame(), tokenizer, max_length=8)


def test_two_texts_are_told_apart(tokenizer):
    encoded = encode(frame("one two").assign(text_pair=["three"]), tokenizer, 64)
    row = encoded.dataset[0]
    assert tokenizer.decode(row["input_ids"]) == "[CLS] one two [SEP] three [SEP]"
    assert row["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert "token_type_ids" not in encode(frame("one two"), tokenizer, 64).dataset.column_names


def test_of_two_texts_the_longer_one_is_cut_first(tokenizer):
    encoded = encode(frame("one two three four").assign(text_pair=["five"]), tokenizer, 6)
    assert tokenizer.decode(encoded.dataset[0]["input_ids"]) == "[CLS] one two [SEP] five [SEP]"
    assert encoded.truncated == 1


def test_an_empty_second_text_is_named(tokenizer):
    with pytest.raises(ValueError, match="Row 11 holds ' ', not a text"):
        encode(frame("one", "two").assign(text_pair=["three", " "]), tokenizer, 64)
