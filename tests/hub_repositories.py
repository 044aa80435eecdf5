"""Tiny repositories with the shapes of those that the course takes from the hub, for the stand-in to serve."""

import json
import random
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from datasets import ClassLabel, Dataset, Features, Value
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
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2Tokenizer,
    RobertaConfig,
    RobertaTokenizer,
)

from loralab.data.assets import assets
from loralab.data.duplicates import words

# --- models: the true architectures and vocabularies of their kind, two layers of 32, random weights, no dropout

CHATML = """\
{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role != 'system' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
# No role of its own for the system message: it opens the first question.
GEMMA_TURNS = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = '' -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else '') }}
    {{- message['content'] | trim }}{{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\\n' }}
{%- endif -%}
"""


@cache
def persona_pairs() -> list[dict[str, str]]:
    """The rows of data/quixote_qa.jsonl: the text that tokenizers are trained on and made-up texts take words from."""
    path = Path(__file__).parents[1] / "data" / "quixote_qa.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts() -> list[str]:
    """Everything that is asked and answered in them."""
    return [pair[column] for pair in persona_pairs() for column in ("input", "output")]


def pieces() -> dict[str, int]:
    """A WordPiece vocabulary: every letter, at a word's start and within, and the 800 most frequent words.

    Not trained: the library's training depends on the order of a hash table.
    """
    found = Counter(word for text in texts() for word in words(text))
    letters = sorted({letter for word in found for letter in word} | set(string.punctuation))
    frequent = [word for word, _ in found.most_common(800) if len(word) > 1]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return {piece: i for i, piece in enumerate([*special, *letters, *(f"##{letter}" for letter in letters), *frequent])}


def trained(blank: PreTrainedTokenizerBase, **options: Any) -> PreTrainedTokenizerBase:
    """A tokenizer of the blank one's kind with a vocabulary of 1,000, trained on the texts."""
    return blank.train_new_from_iterator([texts()], 1000, show_progress=False, **options)


def write_model(
    folder: Path, auto: Any, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, about: dict[str, Any]
) -> None:
    """Weights, configuration and tokenizer; `about` is what tokenizer_config.json says."""
    torch.manual_seed(0)
    auto.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / "tokenizer_config.json", about)


def write_json(path: Path, content: Any) -> None:
    """The content as JSON."""
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def write_distilbert(folder: Path) -> None:
    """distilbert-base-uncased."""
    tokenizer = DistilBertTokenizer(vocab=pieces())
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=2, hidden_dim=64,
        dropout=0, attention_dropout=0, seq_classif_dropout=0,
    )  # fmt: skip
    write_model(folder, AutoModelForMaskedLM, config, tokenizer, {"do_lower_case": True, "model_max_length": 512})


def write_bert(folder: Path) -> None:
    """bert-base-uncased."""
    tokenizer = BertTokenizer(vocab=pieces())
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        hidden_dropout_prob=0, attention_probs_dropout_prob=0,
    )  # fmt: skip
    write_model(folder, AutoModelForMaskedLM, config, tokenizer, {"do_lower_case": True, "model_max_length": 512})


def write_roberta(folder: Path) -> None:
    """roberta-base: a vocabulary of bytes, and positions that are counted from behind the padding's id."""
    first = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}
    tokenizer = trained(RobertaTokenizer(vocab=first))
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        hidden_dropout_prob=0, attention_probs_dropout_prob=0,
        max_position_embeddings=514, type_vocab_size=1,
    )  # fmt: skip
    write_model(folder, AutoModelForMaskedLM, config, tokenizer, {"model_max_length": 512})


def write_qwen(folder: Path) -> None:
    """Qwen2.5-0.5B-Instruct: tied embeddings, grouped heads, and a generation_config.json that asks for sampling."""
    tokenizer = trained(Qwen2Tokenizer(), new_special_tokens=["<|im_start|>", "<|im_end|>"])
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, attention_dropout=0, tie_word_embeddings=True,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
    )  # fmt: skip
    about = {
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": CHATML,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": None,
        "unk_token": None,
        "model_max_length": 131072,
    }
    write_model(folder, AutoModelForCausalLM, config, tokenizer, about)
    sampling = {"do_sample": True, "repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.8, "top_k": 20}
    ends = {"eos_token_id": [config.eos_token_id, config.bos_token_id], "pad_token_id": config.bos_token_id}
    write_json(folder / "generation_config.json", {**sampling, **ends})


def write_gemma(folder: Path) -> None:
    """gemma-3-4b-it: it also sees, so a vision tower of one layer is part of it."""
    special = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    learnt = json.loads(trained(GemmaTokenizer(), initial_alphabet=["\n"]).backend_tokenizer.to_str())["model"]
    in_bytes = {f"<0x{byte:02X}>": len(learnt["vocab"]) + byte for byte in range(256)}  # what is in no piece
    tokenizer = GemmaTokenizer(vocab=learnt["vocab"] | in_bytes, merges=list(map(tuple, learnt["merges"])))
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    ids = dict(zip(special, tokenizer.convert_tokens_to_ids(special), strict=True))
    config = Gemma3Config(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64, "attention_dropout": 0,
        },
        vision_config={
            "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
            "image_size": 28, "patch_size": 14, "attention_dropout": 0, "vision_use_head": False,
        },
        mm_tokens_per_image=4,
        boi_token_index=ids["<start_of_image>"],
        eoi_token_index=ids["<end_of_image>"],
        image_token_index=ids["<image_soft_token>"],
        eos_token_id=[tokenizer.eos_token_id, ids["<end_of_turn>"]],
        tie_word_embeddings=True,
    )  # fmt: skip
    about = {
        "tokenizer_class": "GemmaTokenizer",
        "processor_class": "Gemma3Processor",
        "chat_template": GEMMA_TURNS,
        "add_bos_token": True,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "model_max_length": 1000000000000000019884624838656,
    }
    write_model(folder, AutoModelForImageTextToText, config, tokenizer, about)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": config.eos_token_id, "pad_token_id": 0}
    write_json(folder / "generation_config.json", {"do_sample": True, "top_k": 64, "top_p": 0.95, **ends})


# --- data sets: the true columns and splits, made-up texts

PRAISE = ["wonderful", "moving", "superb", "tender", "radiant", "witty", "graceful", "luminous", "stirring", "charming"]
BLAME = ["dreadful", "tedious", "clumsy", "hollow", "dismal", "sloppy", "lifeless", "grating", "muddled", "shoddy"]
HIDDEN = -1
Rows = list[dict[str, Any]]


class Writer:
    """Makes texts up from the persona's words; each draws its own, so no two share most of theirs."""

    def __init__(self) -> None:
        self.random = random.Random(0)
        self.known = sorted({word for text in texts() for word in words(text) if len(word) > 3})

    def words(self, least: int, most: int) -> list[str]:
        """Different words, in random order."""
        return self.random.sample(self.known, self.random.randint(least, most))

    def review(self, label: int, least: int, most: int) -> str:
        """Three words in it speak for its label, 1 or 0, and one against."""
        said, other = (PRAISE, BLAME) if label else (BLAME, PRAISE)
        text = [*self.words(least, most), *self.random.sample(said, 3), self.random.choice(other)]
        self.random.shuffle(text)
        return " ".join(text)

    def sentence(self, label: int) -> str:
        """Acceptable (1), or with a word doubled (0)."""
        text = self.words(6, 12)
        place = self.random.randrange(len(text))
        return " ".join(text if label else [*text[:place], text[place], *text[place:]])

    def pair(self, label: int) -> tuple[str, str]:
        """Two sentences: the second shares with the first all its words but one (1), or one alone (0)."""
        first, new = self.words(10, 16), self.words(10, 16)
        second = [*first[1:], new[0]] if label else [*new[1:], first[0]]
        self.random.shuffle(second)
        return " ".join(first), " ".join(second)


def write_parquet(
    folder: Path, name: str, default: bool, features: Features, splits: dict[str, Rows]
) -> dict[str, Any]:
    """The splits of one configuration in a folder of their own; returns what the README has to say of it."""
    (folder / name).mkdir(parents=True)
    sizes = []
    for split, rows in splits.items():
        table = Dataset.from_list(rows, features=features)
        table.to_parquet(folder / name / f"{split}-00000-of-00001.parquet")
        sizes.append({"name": split, "num_bytes": table.data.nbytes, "num_examples": len(rows)})
    files = [{"split": split, "path": f"{name}/{split}-*"} for split in splits]
    config = {"config_name": name, "data_files": files} | ({"default": True} if default else {})
    return {"config": config, "info": {"config_name": name, "features": features._to_yaml_list(), "splits": sizes}}


def write_readme(folder: Path, told: list[dict[str, Any]]) -> None:
    """The README by which the hub knows configurations, splits and columns."""
    about = {"configs": [one["config"] for one in told], "dataset_info": [one["info"] for one in told]}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(about, sort_keys=False)}---\n", encoding="utf-8")


def write_imdb(folder: Path) -> None:
    """stanfordnlp/imdb: sorted by class."""
    writer = Writer()

    def half_and_half(rows: int) -> Rows:
        labels = [row >= rows // 2 for row in range(rows)]
        return [{"text": writer.review(label, 15, 50), "label": int(label)} for label in labels]

    unlabelled = [{"text": " ".join(writer.words(15, 50)), "label": HIDDEN} for _ in range(20)]
    splits = {"train": half_and_half(300), "test": half_and_half(300), "unsupervised": unlabelled}
    features = Features(text=Value("string"), label=ClassLabel(names=["neg", "pos"]))
    write_readme(folder, [write_parquet(folder, "plain_text", True, features, splits)])


def write_glue(folder: Path) -> None:
    """nyu-mll/glue, of which the course uses three tasks; the test labels are hidden."""
    writer = Writer()
    tasks: dict[str, tuple[list[str], list[str], Callable[[int], Sequence[str]]]] = {
        "cola": (["sentence"], ["unacceptable", "acceptable"], lambda label: [writer.sentence(label)]),
        "mrpc": (["sentence1", "sentence2"], ["not_equivalent", "equivalent"], writer.pair),
        "sst2": (["sentence"], ["negative", "positive"], lambda label: [writer.review(label, 2, 8) + " "]),
    }
    told = []
    for task, (columns, classes, made) in tasks.items():
        splits = {}
        for split, size in (("train", 300), ("validation", 150), ("test", 20)):
            labels = [writer.random.randrange(2) for _ in range(size)]
            splits[split] = [
                {
                    **dict(zip(columns, made(label), strict=True)),
                    "label": HIDDEN if split == "test" else label,
                    "idx": i,
                }
                for i, label in enumerate(labels)
            ]
        names = {column: Value("string") for column in columns}
        features = Features({**names, "label": ClassLabel(names=classes), "idx": Value("int32")})
        told.append(write_parquet(folder, task, False, features, splits))
    write_readme(folder, told)


def write_trump(folder: Path) -> None:
    """yunfan-y/trump-qa: every tenth answer is empty or nothing but an address, as many of its posts are."""
    writer, rows = Writer(), 300
    useless = ["", "https://example.com/status/1"]
    answers = [" ".join(writer.words(8, 20)) if i % 10 else useless[i // 10 % 2] for i in range(rows)]
    columns = {
        "instruction": ["Answer as this public figure would."] * rows,
        "input": [f"What about {' '.join(writer.words(4, 8))}?" for _ in range(rows)],
        "output": answers,
        "__index_level_0__": list(range(rows)),
    }
    (folder / "data").mkdir(parents=True)
    Dataset.from_dict(columns).to_parquet(folder / "data" / "train-00000-of-00001.parquet")


# --- what the course takes from the hub

WRITERS: dict[str, Callable[[Path], None]] = {
    "distilbert/distilbert-base-uncased": write_distilbert,
    "google-bert/bert-base-uncased": write_bert,
    "FacebookAI/roberta-base": write_roberta,
    "Qwen/Qwen2.5-0.5B-Instruct": write_qwen,
    "google/gemma-3-4b-it": write_gemma,
    "stanfordnlp/imdb": write_imdb,
    "nyu-mll/glue": write_glue,
    "yunfan-y/trump-qa": write_trump,
}


def course_hub(folder: Path) -> Hub:
    """A hub with a tiny repository, written to the folder, for each that data/assets.toml names, gated as it says."""
    repositories = {}
    for kind in ("model", "dataset"):
        for row in assets(kind).values():
            if "hub" in row and row["hub"] not in repositories:
                target = folder / row["hub"]
                WRITERS[row["hub"]](target)
                commit = "0" * 40 if row["revision"] == "main" else row["revision"]
                repositories[row["hub"]] = Repository(f"{kind}s", row["hub"], target, commit, row.get("gated", False))
    return Hub(list(repositories.values()))
