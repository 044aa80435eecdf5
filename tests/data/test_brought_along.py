"""The small files that stand for one's own data: as their card says, and the same in both languages."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from loralab.data.own import label_names, read_labelled, read_pairs
from loralab.data.texts import words

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_messages_are_two_hundred_of_five_classes(language):
    path = str(DATA / f"library_{language}.csv")
    frame = read_labelled(path)
    assert len(label_names(path)) == 5 and set(frame["label"].value_counts()) == {40}
    assert frame["text"].map(lambda text: " ".join(words(text))).is_unique


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_pairs_are_eight_on_each_of_eight_topics(language):
    frame = read_pairs(str(DATA / f"workshop_{language}.jsonl"))
    assert len(frame) == 64 and set(frame["topic"].value_counts()) == {8}
    assert frame["input"].is_unique and frame["output"].is_unique and frame["instruction"].nunique() == 1


def test_both_languages_have_the_same_rows():
    english, spanish = (pd.read_csv(DATA / f"library_{language}.csv") for language in ("en", "es"))
    assert english.groupby(english["label"].to_numpy())["label"].size().tolist() == [40] * 5
    assert len({*zip(english["label"], spanish["label"], strict=True)}) == 5  # one name for each
    rows = [
        [json.loads(line) for line in (DATA / f"workshop_{language}.jsonl").read_text("utf-8").splitlines()]
        for language in ("en", "es")
    ]
    assert [row["topic"] for row in rows[0]] == [row["topic"] for row in rows[1]]
    for one, other in zip(*rows, strict=True):
        figures = [sorted(re.findall(r"\d+", row["output"].replace(":30", ""))) for row in (one, other)]
        assert figures[0] == figures[1], one["output"]
