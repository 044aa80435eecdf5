"""Tiny repositories with the shapes of those that the course takes from the hub, for the stand-in to serve."""

import json
import random
import string
from collections import Counter
from functools import cache
from pathlib import Path

import torch
import yaml
from chat_templates import CHATML, GEMMA3
from datasets import Dataset
from hub import Hub, Repository
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMaskedLM,
    BertConfig,
    BertTokenizer,
    DistilBertConfig,
    DistilBertTokenizer,
    Gemma3Config,
    GemmaTokenizer,
    Qwen2Config,
    Qwen2Tokenizer,
    RobertaConfig,
    RobertaTokenizer,
)

from loralab.data.assets import assets
from loralab.data.texts import words

# --- models: the true architectures and kinds of vocabulary, two layers of 32, random weights, no dropout

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
BERT = {**SIZES, "num_attention_heads": 2, "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
DISTILBERT = {"n_layers": 2, "dim": 32, "hidden_dim": 64, "n_heads": 2, "dropout": 0, "attention_dropout": 0}
DECODER = {**SIZES, "num_attention_heads": 4, "num_key_value_heads": 2, "attention_dropout": 0}


@cache
def texts():
    """All that is asked and answered in data/quixote_qa.jsonl: tokenizers learn it, made-up texts take its words."""
    path = Path(__file__).parents[1] / "data" / "quixote_qa.jsonl"
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [row[column] for row in rows for column in ("input", "output")]


def pieces():
    """A WordPiece vocabulary: every letter, at a word's start and within, and the 800 most frequent words.

    Not trained: the library's training depends on the order of a hash table.
    """
    found = Counter(word for text in texts() for word in words(text))
    letters = sorted({letter for word in found for letter in word} | set(string.punctuation))
    frequent = [word for word, _ in found.most_common(800) if len(word) > 1]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return {piece: i for i, piece in enumerate([*special, *letters, *(f"##{letter}" for letter in letters), *frequent])}


def trained(blank, **options):
    """A tokenizer of the blank one's kind with a vocabulary of 1,000, trained on the texts."""
    return blank.train_new_from_iterator([texts()], 1000, show_progress=False, **options)


def write_model(folder, auto, config, tokenizer, **generation):
    """Weights, configuration and tokenizer, and what generation_config.json has to say."""
    torch.manual_seed(0)
    auto.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if generation:
        (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")


def write_bert(folder, kind=BertConfig, pieces_of=BertTokenizer, sizes=BERT):
    """bert-base-uncased, or another that reads as it does."""
    tokenizer = pieces_of(vocab=pieces(), model_max_length=512)
    write_model(folder, AutoModelForMaskedLM, kind(vocab_size=len(tokenizer), **sizes), tokenizer)


def write_roberta(folder):
    """roberta-base: a vocabulary of bytes, and positions that are counted from behind the padding's id."""
    first = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}
    tokenizer = trained(RobertaTokenizer(vocab=first), model_max_length=512)
    positions = {"max_position_embeddings": 514, "type_vocab_size": 1}
    write_model(folder, AutoModelForMaskedLM, RobertaConfig(vocab_size=len(tokenizer), **BERT, **positions), tokenizer)


def write_qwen(folder):
    """Qwen2.5-0.5B-Instruct: tied embeddings, grouped heads, and a generation_config.json that asks for sampling."""
    tokenizer = trained(Qwen2Tokenizer(), new_special_tokens=["<|im_start|>", "<|im_end|>"], eos_token="<|im_end|>")
    tokenizer.chat_template = CHATML
    config = Qwen2Config(
        vocab_size=len(tokenizer), **DECODER, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    )  # fmt: skip
    sampling = {"do_sample": True, "repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.8, "top_k": 20}
    ends = {"eos_token_id": [config.eos_token_id, config.bos_token_id], "pad_token_id": config.bos_token_id}
    write_model(folder, AutoModelForCausalLM, config, tokenizer, **sampling, **ends)


def write_gemma(folder):
    """gemma-3-4b-it: it also sees, so a vision tower of one layer is part of it."""
    special = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    tokenizer = trained(GemmaTokenizer(), initial_alphabet=["\n"])
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    tokenizer.chat_template = GEMMA3
    _, end_of_turn, *image = tokenizer.convert_tokens_to_ids(special)
    text = {"vocab_size": len(tokenizer), "head_dim": 8, **DECODER}
    vision = {**SIZES, "num_hidden_layers": 1, "num_attention_heads": 2, "attention_dropout": 0}
    config = Gemma3Config(
        text_config=text, vision_config={**vision, "image_size": 28, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4, boi_token_index=image[0], eoi_token_index=image[1], image_token_index=image[2],
        eos_token_id=[tokenizer.eos_token_id, end_of_turn], tie_word_embeddings=True,
    )  # fmt: skip
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": config.eos_token_id, "pad_token_id": 0}
    sampling = {"do_sample": True, "top_k": 64, "top_p": 0.95}
    write_model(folder, AutoModelForImageTextToText, config, tokenizer, **sampling, **ends)


# --- data sets: the true columns and splits, made-up texts

PRAISE = ["wonderful", "moving", "superb", "tender", "radiant", "witty", "graceful", "luminous", "stirring", "charming"]
BLAME = ["dreadful", "tedious", "clumsy", "hollow", "dismal", "sloppy", "lifeless", "grating", "muddled", "shoddy"]
HIDDEN = -1


class Writer:
    """Makes texts up from the persona's words; each draws its own, so no two share most of theirs."""

    def __init__(self):
        self.random = random.Random(0)
        self.known = sorted({word for text in texts() for word in words(text) if len(word) > 3})

    def words(self, least, most):
        """Different words, in random order."""
        return self.random.sample(self.known, self.random.randint(least, most))

    def review(self, label, least, most):
        """Three words in it speak for its label, 1 or 0, and one against."""
        said, other = (PRAISE, BLAME) if label else (BLAME, PRAISE)
        text = [*self.words(least, most), *self.random.sample(said, 3), self.random.choice(other)]
        self.random.shuffle(text)
        return " ".join(text)

    def sentence(self, label):
        """Acceptable (1), or with a word doubled (0)."""
        text = self.words(6, 12)
        place = self.random.randrange(len(text))
        return " ".join(text if label else [*text[:place], text[place], *text[place:]])

    def pair(self, label):
        """Two sentences: the second shares with the first all its words but one (1), or one alone (0)."""
        first, new = self.words(10, 16), self.words(10, 16)
        second = [*first[1:], new[0]] if label else [*new[1:], first[0]]
        self.random.shuffle(second)
        return " ".join(first), " ".join(second)


def write_dataset(folder, configurations, default=None):
    """Rows by split by configuration, each in a folder of its own, and the README by which the hub knows them."""
    told = []
    for name, splits in configurations.items():
        (folder / name).mkdir(parents=True)
        for split, rows in splits.items():
            Dataset.from_list(rows).to_parquet(folder / name / f"{split}-00000-of-00001.parquet")
        files = [{"split": split, "path": f"{name}/{split}-*"} for split in splits]
        told.append({"config_name": name, "data_files": files, "default": name == default})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': told})}---\n", encoding="utf-8")


def write_imdb(folder):
    """stanfordnlp/imdb: sorted by class."""
    writer = Writer()
    splits = {
        split: [{"text": writer.review(label, 15, 50), "label": label} for label in (0, 1) for _ in range(150)]
        for split in ("train", "test")
    }
    splits["unsupervised"] = [{"text": " ".join(writer.words(15, 50)), "label": HIDDEN} for _ in range(20)]
    write_dataset(folder, {"plain_text": splits}, default="plain_text")


def write_glue(folder):
    """nyu-mll/glue, of which the course uses three tasks; the test labels are hidden."""
    writer = Writer()
    tasks = {
        "cola": lambda label: {"sentence": writer.sentence(label)},
        "mrpc": lambda label: dict(zip(("sentence1", "sentence2"), writer.pair(label), strict=True)),
        "sst2": lambda label: {"sentence": writer.review(label, 2, 8) + " "},
    }

    def row(made, split, i):
        label = writer.random.randrange(2)
        return {**made(label), "label": HIDDEN if split == "test" else label, "idx": i}

    sizes = {"train": 300, "validation": 150, "test": 20}
    splits = lambda made: {split: [row(made, split, i) for i in range(n)] for split, n in sizes.items()}  # noqa: E731
    write_dataset(folder, {task: splits(made) for task, made in tasks.items()})


def write_trump(folder):
    """yunfan-y/trump-qa: every tenth answer is empty or nothing but an address, as many of its posts are."""
    writer, useless = Writer(), ["", "https://example.com/status/1"]
    rows = [
        {
            "instruction": "Answer as this public figure would.",
            "input": f"What about {' '.join(writer.words(4, 8))}?",
            "output": " ".join(writer.words(8, 20)) if i % 10 else useless[i // 10 % 2],
            "__index_level_0__": i,
        }
        for i in range(300)
    ]
    write_dataset(folder, {"data": {"train": rows}}, default="data")


# --- what the course takes from the hub

WRITERS = {
    "distilbert/distilbert-base-uncased": lambda folder: write_bert(
        folder, DistilBertConfig, DistilBertTokenizer, {**DISTILBERT, "seq_classif_dropout": 0}
    ),
    "google-bert/bert-base-uncased": write_bert,
    "FacebookAI/roberta-base": write_roberta,
    "Qwen/Qwen2.5-0.5B-Instruct": write_qwen,
    "google/gemma-3-4b-it": write_gemma,
    "stanfordnlp/imdb": write_imdb,
    "nyu-mll/glue": write_glue,
    "yunfan-y/trump-qa": write_trump,
}


def course_hub(folder):
    """A hub with a tiny repository, written to the folder, for each that data/assets.toml names, gated as it says."""
    kinds = ("model", "dataset")
    rows = {row["hub"]: (f"{kind}s", row) for kind in kinds for row in assets(kind).values() if "hub" in row}
    repositories = []
    for name, (kind, row) in rows.items():
        WRITERS[name](folder / name)
        commit = "0" * 40 if row["revision"] == "main" else row["revision"]
        repositories.append(Repository(kind, name, folder / name, commit, row.get("gated", False)))
    return Hub(repositories)
