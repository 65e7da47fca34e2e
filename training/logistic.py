"""Logistic regression: the baseline that a forest has to beat."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

import flights

CATEGORIES = [*flights.NAMES, "Month", "DayofWeek"]
AMOUNTS = ["CRSDepTime", "CRSArrTime", "Distance"]

Penalty = Literal["l1", "l2", "none"]


@dataclass(frozen=True)
class Logistic:
    """How strongly the weights are held down: the smaller `C`, the more."""

    C: float = 1.0
    penalty: Penalty = "l2"


def fit(train: pd.DataFrame, settings: Logistic, seed: int = 0) -> Any:
    """Fit on one-hot carriers, airports, months and weekdays, and scaled times and distance."""
    # Not at the top: the device has to be chosen before scikit-learn is imported.
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), CATEGORIES), (StandardScaler(), AMOUNTS)
    )
    regression = LogisticRegression(
        C=np.inf if settings.penalty == "none" else settings.C,
        l1_ratio=1.0 if settings.penalty == "l1" else 0.0,
        solver="saga" if settings.penalty == "l1" else "lbfgs",
        max_iter=200,
        random_state=seed,
    )
    model = Pipeline([("prepare", prepare), ("logistic", regression)])
    return model.fit(train[list(flights.FEATURES)], train[flights.TARGET])
