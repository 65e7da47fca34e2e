"""How a search goes: tells the server and the person watching of each trial."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

import mlflow
from mlflow import ActiveRun

import tracking
from forest import Forest
from terminal import say
from tracking import Child


@dataclass
class Course:
    """What is known of a search while it runs. Four requests a trial, however long it takes."""

    run: ActiveRun
    total: int
    finished: int = 0
    best: float = 0.0

    def trial(self, number: int, settings: Forest) -> AbstractContextManager[Child]:
        """Open the run of a trial."""
        return tracking.child(self.run, number, asdict(settings))

    def note(self, number: int, metrics: Mapping[str, float], remark: str = "") -> None:
        """Tell of a trial that has ended, beside the best so far."""
        accuracy, seconds = metrics["accuracy"], metrics["fit_seconds"]
        self.finished += 1
        self.best = max(self.best, accuracy)
        # The step counts what has ended, so that the best never falls when trials overtake others.
        mlflow.log_metrics(
            {"trial_accuracy": accuracy, "best_accuracy": self.best}, step=self.finished
        )
        progress = f"accuracy {accuracy:.4f}, best {self.best:.4f}, {seconds:.1f} s{remark}"
        say(f"{number:>3} of {self.total}", progress)
