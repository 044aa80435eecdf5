"""What the set-up cell hands to a lesson's plain code."""

from dataclasses import replace
from pathlib import Path

from loralab import hand_over
from loralab.profiles import load_profile


def test_plain_code_is_handed_a_folder_or_the_hubs_name():
    smoke, t4 = load_profile("smoke"), load_profile("t4")
    encoder, chat, sizes = hand_over(smoke)
    assert all((Path(place) / "model.safetensors").is_file() for place in (encoder, chat)) and encoder != chat
    assert sizes == {"texts": 32, "pairs": 2, "answer": 4}
    assert hand_over(t4)[:2] == ("distilbert/distilbert-base-uncased", "Qwen/Qwen2.5-0.5B-Instruct")


def test_of_all_there_is_one_may_take_all():
    profile = load_profile("smoke")
    everything = replace(profile, settings=profile.settings | {"train_size": "all"})
    rows = list(range(70))
    assert rows[: hand_over(everything)[2]["texts"]] == rows
