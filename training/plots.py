"""The pictures that a run keeps. Each function returns a figure and touches nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

BLUE, ORANGE, GREY = "#1f5f99", "#e07b28", "#8a8f98"
CLASSES = ("punctual", "late")


def roc(late: Any, probability: Any) -> Figure:
    """Show the late flights found against the punctual ones suspected, at every threshold."""
    false, true, _ = roc_curve(late, probability)
    figure, axes = _canvas("ROC curve", (5.6, 5.2))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="guessing")
    area = roc_auc_score(late, probability)
    axes.plot(false, true, color=BLUE, linewidth=2, label=f"model, area {area:.3f}")
    axes.fill_between(false, true, alpha=0.08, color=BLUE, linewidth=0)
    axes.set(
        xlabel="punctual flights called late", ylabel="late flights found", xlim=(0, 1), ylim=(0, 1)
    )
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def confusion(late: Any, answer: Any) -> Figure:
    """Count the flights by what they were and what the model said."""
    counts = confusion_matrix(late, answer, labels=[0, 1])
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    figure, axes = _canvas("Confusion matrix", (5.4, 4.8))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{count:,}\n{share:.0%}",
            ha="center",
            va="center",
            fontsize=13,
            color="white" if share > 0.55 else "#20242a",
        )
    axes.set_xticks([0, 1], [f"said {name}" for name in CLASSES])
    axes.set_yticks([0, 1], [f"was {name}" for name in CLASSES], rotation=90, va="center")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def importance(lost: pd.Series) -> Figure:
    """Rank the features by the accuracy that shuffling each one costs."""
    figure, axes = _canvas("Feature importance", (6.4, 4.6))
    # Rounded first, or a tiny loss below zero reads "-0.0".
    bars = axes.barh(lost.index, (100 * lost).round(1) + 0.0, color=BLUE, height=0.65)
    axes.bar_label(bars, fmt="%.1f", padding=4, fontsize=9, color="#20242a")
    axes.set_xlabel("accuracy lost when shuffled, percentage points")
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return figure


def history(accuracies: Sequence[float], baseline: float) -> Figure:
    """Show how a search went: every trial, and the best so far."""
    trials = np.arange(1, len(accuracies) + 1)
    figure, axes = _canvas("Search history", (7.0, 4.4))
    axes.axhline(baseline, color=GREY, linestyle="--", linewidth=1, label="majority class")
    axes.plot(trials, accuracies, "o", color=ORANGE, markersize=6, label="trial")
    best = np.maximum.accumulate(accuracies)
    axes.step(trials, best, where="post", color=BLUE, linewidth=2, label="best so far")
    axes.set(xlabel="trial", ylabel="accuracy on the validation flights")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="best", frameon=False)
    return figure


def parallel_coordinates(trials: pd.DataFrame, accuracies: Sequence[float]) -> Figure:
    """Draw each trial as a line through its parameters, the better the darker."""
    table = trials.assign(accuracy=accuracies)
    low, high = table.min().to_numpy(), table.max().to_numpy()
    # A column that never changed runs through the middle.
    width = np.where(high > low, high - low, 2)
    heights = (table.to_numpy() - np.where(high > low, low, low - 1)) / width
    figure, axes = _canvas("Trials by parameter", (8.0, 4.6))
    colour = ScalarMappable(Normalize(low[-1], high[-1]), cmap="viridis_r")
    places = range(len(low))
    axes.set_xlim(-0.15, len(low) - 0.85)
    for index in np.argsort(accuracies):
        axes.plot(
            places,
            heights[index],
            color=colour.to_rgba(accuracies[index]),
            linewidth=1.8,
            alpha=0.85,
        )
    ends = zip(low.tolist(), high.tolist(), strict=True)
    for place, (bottom, top) in zip(places, ends, strict=True):
        axes.axvline(place, color=GREY, linewidth=1, zorder=0)
        axes.text(place, -0.04, f"{bottom:.4g}", ha="center", va="top", fontsize=9)
        axes.text(place, 1.03, f"{top:.4g}", ha="center", va="bottom", fontsize=9)
    axes.set_xticks(list(places), list(table.columns))
    axes.tick_params(axis="x", length=0, pad=18)
    axes.set_yticks([])
    axes.set_ylim(-0.02, 1.02)
    axes.set_title("Trials by parameter", loc="left", fontweight="bold", pad=22)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    figure.colorbar(colour, ax=axes, label="accuracy", pad=0.03)
    return figure


def _canvas(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    # No pyplot: it keeps every figure alive and looks for a display.
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontweight="bold", pad=10)
    axes.grid(color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
