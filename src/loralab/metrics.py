"""Scores of a classifier, as an evaluate module that needs no hub."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef


class ClassificationMetrics(evaluate.Metric):
    """Accuracy, F1 of the positive class, and Matthews' correlation coefficient (MCC; 0 where it is 0/0)."""

    def _info(self) -> Any:
        features = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(
            description="Accuracy, F1 and MCC of class predictions.",
            citation="Matthews, Biochimica et Biophysica Acta 405(2), 1975",
            inputs_description="predictions and references: class numbers, one an example.",
            features=features,
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "f1": float(f1_score(references, predictions, zero_division=0.0)),
            "mcc": float(matthews_corrcoef(references, predictions)),
        }


def score(predictions: Sequence[int], labels: Sequence[int]) -> dict[str, float]:
    """Accuracy, F1 and MCC, as shares, of predicted against true classes."""
    metrics = ClassificationMetrics(keep_in_memory=True)
    result: dict[str, float] = metrics.compute(predictions=list(predictions), references=list(labels))
    return result
