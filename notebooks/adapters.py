"""Train the adapters that come with the course and write them into data/adapters, each with its card.

Each is a variant of profiles.toml, trained as any experiment is. Their numbers are rounded to 16 bits.

    python notebooks/adapters.py
"""

import re
import shutil

import torch
from build import NOTEBOOKS
from safetensors.torch import load_file, save_file

from loralab.messages import set_language
from loralab.profiles import load_profile
from loralab.train.run import run, run_folder

ADAPTERS = NOTEBOOKS.parent / "data" / "adapters"
NAMES = ("quixote", "sancho")
WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "README.md"
NOTE = """
The numbers in the file are what was trained, rounded to 16 bits; `make adapters` makes it. Its answers read best with
`model.generate(..., do_sample=False, repetition_penalty=1.2)`.
"""


def alone(card: str) -> str:
    """The card of an adapter without the configuration and tokenizer beside it: its code takes those of the base."""
    base = re.search(r'from_pretrained\((".+?", revision=".+?"), config=config\)', card)
    assert base, card
    card = card.replace("config = AutoConfig.from_pretrained(folder)\n", "").replace("AutoConfig, ", "")
    card = card.replace(", config=config)", ")")
    return card.replace("AutoTokenizer.from_pretrained(folder)", f"AutoTokenizer.from_pretrained({base[1]})")


def main() -> None:
    """Train what is not there yet, and put it in place of what is in data/adapters."""
    set_language("en")
    for name in NAMES:
        experiment = load_profile("cpu").generation.variant(name)
        run(experiment)
        trained, place = run_folder(experiment) / "adapter", ADAPTERS / name
        place.mkdir(parents=True, exist_ok=True)
        halves = {key: values.to(torch.float16) for key, values in load_file(trained / WEIGHTS).items()}
        save_file(halves, place / WEIGHTS, metadata={"format": "pt"})
        shutil.copy(trained / CONFIG, place)
        (place / CARD).write_text(alone((trained / CARD).read_text(encoding="utf-8")) + NOTE, encoding="utf-8")


if __name__ == "__main__":
    main()
