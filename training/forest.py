"""The random forest that predicts late flights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import flights


@dataclass(frozen=True)
class Forest:
    """What can be tuned. The depth is always bounded: it decides the model's size and memory."""

    n_estimators: int = 30
    max_depth: int = 16
    min_samples_leaf: int = 5
    max_features: float = 0.6
    max_samples: float = 0.4


def fit(train: pd.DataFrame, settings: Forest, seed: int = 0) -> Any:
    """Fit on whatever device was chosen; names unseen in training get a code of their own."""
    ((_, model),) = grow(train, settings, seed)
    return model


def grow(
    train: pd.DataFrame, settings: Forest, seed: int = 0, stops: Sequence[int] = ()
) -> Iterator[tuple[int, Any]]:
    """Fit, and pause at so many trees; what is given out there is the forest of just those trees.

    It is one model all the way. Grown to the end it is the forest that `fit` makes in one go.
    """
    # Not at the top: the device has to be chosen before scikit-learn is imported.
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32),
            list(flights.NAMES),
        ),
        ("passthrough", list(flights.NUMBERS)),
    )
    trees = RandomForestClassifier(
        n_estimators=settings.n_estimators,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.min_samples_leaf,
        max_features=settings.max_features,
        max_samples=settings.max_samples,
        random_state=seed,
        n_jobs=-1,
        # cuML has no such forest: on a GPU only one that is grown in one go runs there.
        warm_start=bool(stops),
    )
    model = Pipeline([("encode", encode), ("forest", trees)])
    features, target = train[list(flights.FEATURES)], train[flights.TARGET]
    for count in (*(stop for stop in stops if stop < settings.n_estimators), settings.n_estimators):
        yield count, model.set_params(forest__n_estimators=count).fit(features, target)
