"""An experiment is a value, and a result is what became of it. Nothing here needs torch."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from loralab.files import content_name, write_atomically
from loralab.messages import message, one_of

# Goes up by one whenever training gives other numbers: results of another recipe are not mixed with new ones.
# tests/train/test_golden.py fails when numbers move and this did not.
RECIPE = 2
ALL = "all"
SIZES = (
    "train_size", "validation_size", "test_size", "rank", "virtual_tokens", "epochs", "batch_size",
    "gradient_accumulation_steps", "max_length", "max_new_tokens",
)  # fmt: skip
KINDS = {**dict.fromkeys(("dataset", "model", "profile"), str), "activation_checkpointing": bool, "examined": bool}
MOST = {"epochs": 1000}  # more would be counted, batch by batch, before anything is trained
# What a field is marked with, field(default=…, metadata=LATER), that the published results were made without: at its
# default it is left out of an experiment's key, so that none of them is set aside for it.
LATER = {"later": True}
NUMBERS = (
    ("alpha", 1e-12, math.inf), ("learning_rate", 1e-12, math.inf), ("weight_decay", 0, math.inf),
    ("dropout", 0, 1), ("warmup_ratio", 0, 1), ("repetition_penalty", 1, math.inf),
)  # fmt: skip
_DATA = {"task", "dataset", "train_size", "validation_size", "test_size", "split_seed", "method"}
_TRAINING = _DATA | {
    "model", "max_length", "learning_rate", "epochs", "batch_size", "gradient_accumulation_steps",
    "weight_decay", "warmup_ratio", "precision", "seed", "examined",
}  # fmt: skip
# LoRA and its variants: rank-stabilised (Kalajdzievski 2023), DoRA (Liu et al. 2024), PiSSA (Meng et al. 2024).
LORA_METHODS = ("lora", "rslora", "dora", "pissa")
# What peft puts on a frozen base. Beside them IA3 (Liu et al. 2022), prompt tuning (Lester et al. 2021) and prefix
# tuning (Li and Liang 2021).
PEFT_METHODS = (*LORA_METHODS, "ia3", "prompt", "prefix")
_ADDED = {
    **{method: {"rank", "alpha", "dropout", "target_modules"} for method in LORA_METHODS},
    "ia3": set(),
    **{method: {"virtual_tokens"} for method in ("prompt", "prefix")},
}
_DECODING = {"max_new_tokens", "repetition_penalty"}
_GENERATION = _TRAINING | _DECODING | {"weights", "loss_on", "padding", "activation_checkpointing"}


@dataclass(frozen=True)
class Task:
    """What can be run of a task: for each method the fields that it reads, and so what can change its outcome.

    `baselines` and `trained` are the methods that the course compares.
    How it is trained and judged is in loralab.train.objectives, how results are compared in loralab.show.scores.
    """

    methods: dict[str, set[str]]
    baselines: tuple[str, ...]
    trained: tuple[str, ...]


TASKS = {
    "classification": Task(
        methods=dict.fromkeys(("majority", "tfidf"), _DATA)
        | {"frozen": _DATA | {"model", "max_length"}}
        | dict.fromkeys(("head", "full"), _TRAINING)
        | {method: _TRAINING | added for method, added in _ADDED.items()},
        baselines=("majority", "tfidf", "frozen"),
        trained=("head", "full", "lora"),
    ),
    "generation": Task(
        methods={"retrieval": _DATA}
        | dict.fromkeys(("base", "few-shot"), _DATA | _DECODING | {"model", "weights"})
        | {"full": _GENERATION}
        | {method: _GENERATION | added for method, added in _ADDED.items()},
        baselines=("retrieval", "base", "few-shot"),
        trained=("full", "lora"),
    ),
}
CHOICES = {
    "task": tuple(TASKS),
    "precision": ("auto", "fp32", "fp16", "bf16"),
    "weights": ("fp32", "bf16", "nf4"),
    "loss_on": ("answer", "all"),
    "padding": ("longest", "max_length"),
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training run, described completely: run twice on one machine's CPU it gives the same scores.

    Sizes are numbers of examples (`train_size` "all": what validation and test leave), `max_length` is in tokens (None:
    never cut), `warmup_ratio` is a share of all steps, `target_modules` is "default" (what suits the architecture),
    "all-linear", or the names themselves; LoRA's variants read it too, and `rank`, `alpha` and `dropout`.
    `virtual_tokens` is the number of them that prompt and prefix tuning put before each text. An experiment that is not
    `examined` never sees the test: a sweep looks at validation alone. `dataset` and `model` are names in
    data/assets.toml, or what somebody brings: a hub's "org/name@revision" or a path (see loralab.data.own,
    loralab.data.hub.model_row).
    `profile` says where the experiment came from and is no part of its identity.

    For generation alone: `weights` is how the base is held in memory ("bf16" and "nf4" only where it stays frozen),
    `loss_on` the tokens that are trained on ("all": prompt and padding too), `padding` how far a batch is filled up,
    and `activation_checkpointing` computes activations a second time instead of keeping them. Answers are greedy, of
    `max_new_tokens` at most; a logit of a token that was there before is divided by `repetition_penalty` (times it, if
    negative; Keskar et al. 2019, section 4.1).

    Raises ValueError if a value is outside what it can be; the message names the choices.
    """

    dataset: str
    model: str
    method: str
    train_size: int | str
    validation_size: int
    test_size: int
    task: str = "classification"
    split_seed: int = 0
    max_length: int | None = 128
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "default"
    virtual_tokens: int = 16
    learning_rate: float = 1e-4
    epochs: int = 3
    batch_size: int = 16
    gradient_accumulation_steps: int = 1
    weight_decay: float = 0.01
    warmup_ratio: float = 0.06
    precision: str = "fp32"
    weights: str = "fp32"
    loss_on: str = "answer"
    padding: str = "longest"
    activation_checkpointing: bool = False
    max_new_tokens: int = field(default=80, metadata=LATER)
    repetition_penalty: float = field(default=1.0, metadata=LATER)
    seed: int = 0
    examined: bool = True
    profile: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            one_of(name, getattr(self, name), choices)
        one_of("method", self.method, TASKS[self.task].methods)
        if self.padding == "max_length" and self.max_length is None:
            raise ValueError(message("padding_without_length"))
        if self.method in ("full", "pissa"):  # what is trained is in fp32; PiSSA takes the weights apart
            one_of("weights", self.weights, ("fp32",) if self.method == "full" else ("fp32", "bf16"))
        if self.method == "prefix" and self.activation_checkpointing:
            raise ValueError(message("prefix_checkpointing"))
        for name, kind in KINDS.items():
            if not isinstance(given := getattr(self, name), kind):
                raise ValueError(message("not_text" if kind is str else "not_yes_or_no", name=name, given=given))
        if not isinstance(self.target_modules, str):
            modules = tuple(self.target_modules) if isinstance(self.target_modules, list | tuple) else ()
            if not modules or not all(isinstance(name, str) for name in modules):
                raise ValueError(message("not_names", name="target_modules", given=self.target_modules))
            object.__setattr__(self, "target_modules", modules)
        for name in ("seed", "split_seed", *SIZES):
            value, least, most = getattr(self, name), int(name in SIZES), MOST.get(name, 2**31)
            if (name, value) in (("train_size", ALL), ("max_length", None)):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ValueError(message("not_an_integer", name=name, given=value, least=least, most=most))
        for name, lowest, below in NUMBERS:
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int | float) or not lowest <= given < below:
                raise ValueError(message("not_a_number", name=name, given=given, least=lowest, below=below))
            object.__setattr__(self, name, float(given))

    @property
    def reads(self) -> set[str]:
        """The names of the fields that can change the outcome of this method."""
        return TASKS[self.task].methods[self.method]

    @property
    def trains(self) -> bool:
        """Whether the method takes optimizer steps; a baseline takes none."""
        return "learning_rate" in self.reads

    def identity(self) -> dict[str, Any]:
        """The fields that can change the outcome of this method, by name; of what lies here its `content_name`."""
        values = asdict(self) | {name: content_name(getattr(self, name)) for name in ("dataset", "model")}
        return {name: value for name, value in values.items() if name in self.reads}

    @property
    def key(self) -> str:
        """A name for the result's folder: the method (and rank), and a hash of the identity.

        A field that results were made without (marked LATER) counts only where it is not at its default.
        """
        unheard = {f.name for f in fields(self) if f.metadata == LATER and getattr(self, f.name) == f.default}
        text = json.dumps({k: v for k, v in self.identity().items() if k not in unheard}, sort_keys=True)
        rank = f"-r{self.rank}" if self.method in LORA_METHODS else ""
        return f"{self.method}{rank}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def scale(self) -> float:
        """LoRA's factor before BA: alpha/r (Hu et al. 2021, 4.1); rank-stabilised alpha/√r (Kalajdzievski 2023)."""
        return self.alpha / (math.sqrt(self.rank) if self.method == "rslora" else self.rank)

    def but(self, **changes: Any) -> "Experiment":
        """The same experiment with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run measured.

    Classification: `test` and each entry of `epochs` (validation) hold accuracy, f1, mcc (shares) and, for trained
    models, loss (nats); `predictions` and `labels` are the test examples' classes in the split's order, and
    `test_losses` (nats) a trained model's on each: `loss` is their mean.

    Generation: `test` holds what loralab.train.metrics.score_answers gives and, for models, loss (nats a token of
    the answers), perplexity and other_loss (nats a token of newspaper editorials); `predictions` are the answers to the
    test's `questions` in the split's order, `labels` the references, `answer_chrf` each answer's chrF, and
    `answer_nats` and `answer_tokens` the loss summed over each reference and its tokens, `other_nats` and
    `other_tokens` over each editorial sentence (earlier results lack them). All of the test's is empty if not examined.

    `loss_by_step` (nats) and `learning_rate_by_step` have one entry an optimizer step. `parameters` counts adapter,
    head, trainable and total. `seconds` has training and evaluation apart. `memory` has peak_bytes and the method that
    measured it (see loralab.train.peak). `tokens` counts real and padded tokens and those trained on over the whole
    training, and the training texts that were cut, or left out because nothing of their answer would be left.
    """

    test: dict[str, float]
    predictions: list[Any]
    labels: list[Any]
    epochs: list[dict[str, float]]
    loss_by_step: list[float]
    learning_rate_by_step: list[float]
    parameters: dict[str, int]
    seconds: dict[str, float]
    memory: dict[str, Any]
    tokens: dict[str, int]
    test_losses: list[float] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    answer_chrf: list[float] = field(default_factory=list)
    answer_nats: list[float] = field(default_factory=list)
    answer_tokens: list[int] = field(default_factory=list)
    other_nats: list[float] = field(default_factory=list)
    other_tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Result(Outcome):
    """An outcome with what it rests on.

    `provenance` has the fingerprints of data and weights, the RECIPE, versions, device, threads, date, and run's notes.
    """

    experiment: Experiment
    provenance: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the result as JSON, all or nothing."""
        content = asdict(self)
        write_atomically(path, json.dumps(content | {"seal": seal(content)}, ensure_ascii=False))

    @classmethod
    def load(cls, path: Path) -> "Result":
        """Read a result. Raises DamagedResult if the file is not a whole one, or not what was saved."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("seal", None) != seal(content):
                raise ValueError(message("result_edited"))
            return cls(experiment=Experiment(**content.pop("experiment")), **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedResult(message("damaged_result", path=path.name, error=error)) from error


def seal(content: Any) -> str:
    """A hash of what JSON can hold: of a file's content, so that an edited one is known."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


class DamagedResult(ValueError):
    """A result file that cannot be read."""
