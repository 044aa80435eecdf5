"""What a fine-tuned model must beat: baselines that train no transformer."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from transformers import DataCollatorWithPadding

from loralab.data.own import label_names
from loralab.data.splits import Splits, whole_texts
from loralab.experiment import Experiment, Outcome
from loralab.train.hardware import Device
from loralab.train.metrics import chrf_by_answer, score, score_answers
from loralab.train.models import load_base, load_language_model, shared_tokenizer
from loralab.train.objectives import Fields, examine
from loralab.train.tokens import encode, from_short_to_long

SHOTS = 3  # question-answer pairs in the prompt of "few-shot": the training split's first
Predictor = Callable[[pd.DataFrame], list[int]]


def majority(experiment: Experiment, train: pd.DataFrame, device: Device) -> Predictor:
    """Answers the training set's most frequent class, whatever the text."""
    answer = int(train["label"].mode()[0])
    return lambda frame: [answer] * len(frame)


def tfidf(experiment: Experiment, train: pd.DataFrame, device: Device) -> Predictor:
    """Logistic regression on TF-IDF weights of words and word pairs."""
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(features, LogisticRegression(C=10, max_iter=1000))
    model.fit(whole_texts(train), train["label"])
    return lambda frame: [int(label) for label in model.predict(whole_texts(frame))]


def frozen(experiment: Experiment, train: pd.DataFrame, device: Device) -> Predictor:
    """Logistic regression on the frozen encoder's last states, averaged over each text's tokens."""
    model = LogisticRegression(max_iter=1000)
    model.fit(mean_states(experiment, train, device), train["label"])
    return lambda frame: [int(label) for label in model.predict(mean_states(experiment, frame, device))]


CLASSIFIERS = {"majority": majority, "tfidf": tfidf, "frozen": frozen}


def retrieved_answers(train: pd.DataFrame, questions: Sequence[str]) -> list[str]:
    """To each question, the answer to the training question that is most like it (cosine of TF-IDF weights)."""
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = features.fit_transform(train["input"])
    nearest = (features.transform(questions) @ known.T).toarray().argmax(axis=1)
    return train["output"].iloc[nearest].tolist()


def run_baseline(experiment: Experiment, splits: Splits, device: Device) -> Outcome:
    """Examine a baseline on the test split.

    Its training seconds include turning texts into features, and for "frozen" loading the encoder; a language model
    that is only prompted has none.
    """
    train, test, started = splits.train, splits.test, time.perf_counter()
    if experiment.method in CLASSIFIERS:
        classify = CLASSIFIERS[experiment.method](experiment, train, device)
        fitted = time.perf_counter()
        classes, labels = classify(test), test["label"].tolist()
        scores = score(classes, labels, len(label_names(experiment.dataset)))
        exam: Fields = {"test": scores, "predictions": classes, "labels": labels}
    elif experiment.method == "retrieval":
        questions, references = test["input"].tolist(), test["output"].tolist()
        answers = retrieved_answers(train, questions)
        fitted = time.perf_counter()
        scores = score_answers(answers, references, train["output"].tolist())
        exam = {"test": scores, "predictions": answers, "labels": references, "questions": questions}
        exam["answer_chrf"] = chrf_by_answer(answers, references)
    else:
        model = load_language_model(experiment.model, experiment.weights)
        if experiment.weights != "nf4":
            model.to(device.kind)
        fitted = started = time.perf_counter()
        shots = SHOTS if experiment.method == "few-shot" else 0
        examples = list(zip(train["input"][:shots], train["output"][:shots], strict=True))
        exam = examine(model, shared_tokenizer(experiment.model), experiment, train, test, examples)
    return Outcome(
        **exam, epochs=[], loss_by_step=[], learning_rate_by_step=[], parameters={}, memory={}, tokens={},
        seconds={"training": fitted - started, "evaluation": time.perf_counter() - fitted},
    )  # fmt: skip


@torch.no_grad()
def mean_states(experiment: Experiment, frame: pd.DataFrame, device: Device) -> np.ndarray:
    """The encoder's last hidden states, averaged over the tokens of each text (rows × hidden size)."""
    tokenizer = shared_tokenizer(experiment.model)
    encoder = load_base(experiment.model, seed=0).base_model.to(device.kind).eval()
    encoded = encode(frame, tokenizer, experiment.max_length)
    rows, collate = encoded.dataset.remove_columns("labels"), DataCollatorWithPadding(tokenizer)
    features = np.empty((len(rows), encoder.config.hidden_size), dtype=np.float32)
    for chosen in from_short_to_long(encoded.lengths, 64):
        batch = collate([rows[i] for i in chosen]).to(device.kind)
        mask = batch["attention_mask"].unsqueeze(-1)
        states = encoder(**batch).last_hidden_state
        features[chosen] = ((states * mask).sum(dim=1) / mask.sum(dim=1)).cpu().numpy()
    return features
