import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import plots

LATE = np.array([0, 0, 1, 1, 0, 1])
PROBABILITY = np.array([0.1, 0.6, 0.7, 0.9, 0.2, 0.4])
TRIALS = pd.DataFrame({"n_estimators": [10, 20, 40], "max_depth": [8, 8, 8]})


@pytest.mark.parametrize(
    "figure",
    [
        plots.roc(LATE, PROBABILITY),
        plots.confusion(LATE, PROBABILITY > 0.5),
        plots.importance(pd.Series({"Dest": 0.01, "Month": 0.05})),
        plots.history([0.6, 0.7, 0.65], 0.59),
        plots.parallel_coordinates(TRIALS, [0.6, 0.7, 0.65]),
        plots.parallel_coordinates(TRIALS.head(1), [0.6]),
    ],
)
def test_a_figure_can_be_saved_and_is_not_blank(figure):
    saved = io.BytesIO()
    figure.savefig(saved, format="png")
    assert len(Image.open(saved).convert("RGB").getcolors(1 << 24)) > 20


def test_the_confusion_matrix_counts_every_flight_once():
    texts = [text.get_text() for text in plots.confusion(LATE, PROBABILITY > 0.5).axes[0].texts]
    assert texts == ["2\n67%", "1\n33%", "1\n33%", "2\n67%"]


def test_the_history_shows_the_best_so_far():
    lines = {line.get_label(): line for line in plots.history([0.6, 0.7, 0.65], 0.5).axes[0].lines}
    assert list(lines["best so far"].get_ydata()) == [0.6, 0.7, 0.7]
    assert list(lines["trial"].get_ydata()) == [0.6, 0.7, 0.65]


def test_each_trial_runs_through_its_own_values():
    axes = plots.parallel_coordinates(TRIALS, [0.6, 0.7, 0.65]).axes[0]
    drawn = sorted(list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 3)
    assert np.allclose(drawn, [[0, 0.5, 0], [1 / 3, 0.5, 1], [1, 0.5, 0.5]])
