"""Scores of a classifier and of a model that answers, as evaluate modules that need no hub."""

from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

import datasets
import evaluate
from sacrebleu.metrics.chrf import CHRF
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from loralab.data.texts import words


def _metric(compute: Callable[..., dict[str, float]], kind: str, citation: str) -> evaluate.Metric:
    """A function of predictions and references, each one an example and of that kind, as a metric of evaluate's."""
    features = datasets.Features({name: datasets.Value(kind) for name in ("predictions", "references")})

    class Metric(evaluate.Metric):
        def _info(self) -> Any:
            text = compute.__doc__ or ""
            return evaluate.MetricInfo(description=text, citation=citation, inputs_description=text, features=features)

        def _compute(self, **given: Any) -> dict[str, float]:
            return compute(**given)

    return Metric(keep_in_memory=True)


def _class_scores(predictions: Sequence[int], references: Sequence[int], classes: int) -> dict[str, float]:
    of = {"average": "binary"} if classes == 2 else {"average": "macro", "labels": range(classes)}
    return {
        "accuracy": float(accuracy_score(references, predictions)),
        "f1": float(f1_score(references, predictions, zero_division=0.0, **of)),
        "mcc": float(matthews_corrcoef(references, predictions)),
    }


def _answer_scores(
    predictions: Sequence[str], references: Sequence[str], trained_on: Sequence[str]
) -> dict[str, float]:
    answers, seen = [words(text) for text in predictions], [words(text) for text in trained_on]
    return {
        "chrf": CHRF().corpus_score(list(predictions), [list(references)]).score,
        "distinct_1": distinct(answers, 1),
        "distinct_2": distinct(answers, 2),
        "words": float(mean(map(len, answers))),
        "longest_overlap": float(longest_common_run(answers, seen)),
    }


def runs(tokens: Sequence[str], length: int) -> list[tuple[str, ...]]:
    """Every run of so many neighbouring tokens, in order."""
    return [tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]


def distinct(texts: Sequence[Sequence[str]], length: int) -> float:
    """Different runs of that length over all of them, in all texts together; 0 if there is none."""
    every = [run for text in texts for run in runs(text, length)]
    return len(set(every)) / len(every) if every else 0.0


def longest_common_run(texts: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> int:
    """The length of the longest run of tokens that stands in one of the texts and in one of the others."""
    length = 0
    while True:
        there = {run for other in others for run in runs(other, length + 1)}
        if not any(run in there for text in texts for run in runs(text, length + 1)):
            return length
        length += 1


def score(predictions: Sequence[int], labels: Sequence[int], classes: int = 2) -> dict[str, float]:
    """Accuracy, F1 and MCC (Matthews' correlation coefficient; 0 where it is 0/0) of predicted against true classes.

    F1 is that of class 1 of two; of more classes the mean of each one's (macro-F1).
    """
    metric = _metric(_class_scores, "int64", "Matthews, Biochimica et Biophysica Acta 405(2), 1975")
    return metric.compute(predictions=list(predictions), references=list(labels), classes=classes)


def score_answers(answers: Sequence[str], references: Sequence[str], trained_on: Sequence[str]) -> dict[str, float]:
    """How answers compare with references (chrF, 0 to 100), with one another, and with what was trained on.

    chrF is the corpus-level character n-gram F-score (Popović, WMT 2015) as sacrebleu computes it. `distinct_1` and
    `distinct_2` are different words, and pairs of words, over all of them (Li et al., NAACL 2016, section 5.2).
    `words` is the mean length of an answer. `longest_overlap` is the longest run of words, of all answers, that also
    stands in a training answer: a long one is a memory, not an answer.
    """
    metric = _metric(_answer_scores, "string", "Popović, WMT 2015; Li et al., NAACL 2016")
    return metric.compute(predictions=list(answers), references=list(references), trained_on=list(trained_on))


def chrf_by_answer(answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF (0 to 100) of each answer alone; that of all together is not their mean, for it counts n-grams over all."""
    scorer = CHRF()
    return [scorer.sentence_score(a, [b]).score for a, b in zip(answers, references, strict=True)]
