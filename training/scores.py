"""How good a model is on flights it has not seen, beside what is reached without a model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import precision_score, recall_score, roc_auc_score

import flights


@dataclass(frozen=True)
class Scores:
    """The answers of a model on held-out flights, and what follows from them."""

    late: Any
    probability: Any

    @property
    def answer(self) -> Any:
        """Late (1) or punctual (0), as the model says."""
        return (self.probability > 0.5).astype("int8")

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(np.mean(self.answer == self.late))

    @property
    def loss(self) -> float:
        """What a search minimises: smaller is better, so never the accuracy itself."""
        return 1 - self.accuracy

    def metrics(self) -> dict[str, float]:
        """Everything worth comparing between runs."""
        return {
            "accuracy": self.accuracy,
            "baseline_accuracy": flights.majority_accuracy(self.late),
            "loss": self.loss,
            "roc_auc": float(roc_auc_score(self.late, self.probability)),
            "precision": float(precision_score(self.late, self.answer, zero_division=0.0)),
            "recall": float(recall_score(self.late, self.answer, zero_division=0.0)),
        }


def score(model: Any, test: pd.DataFrame) -> Scores:
    """Ask the model about every held-out flight."""
    probability = np.asarray(model.predict_proba(test[list(flights.FEATURES)]))[:, 1]
    return Scores(late=test[flights.TARGET].to_numpy(), probability=probability)


def importance(model: Any, test: pd.DataFrame, seed: int = 0, rows: int = 5_000) -> Any:
    """Measure the accuracy lost when one column at a time is shuffled, per feature.

    Unlike a forest's own importances this holds for every model and on every device, and does not
    favour columns with many values.
    """
    sample = test.sample(min(rows, len(test)), random_state=seed)
    columns = list(flights.FEATURES)
    found = permutation_importance(
        model, sample[columns], sample[flights.TARGET], n_repeats=3, random_state=seed
    )
    return pd.Series(found.importances_mean, index=columns).sort_values()
