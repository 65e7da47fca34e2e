"""Runs in a pod: logs a run, reads it back, and goes on writing until it is told to stop.

Each line of JSON that it prints is something of which the server has said that it has it.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import mlflow

STOP = Path("/tmp/stop")
AT_ONCE = 3
"""Writers. Each has connections of its own, so that both pods of the server hear of them."""
PAUSE_SECONDS = 0.1
"""Between two writes of one: to know of each moment takes no more, and a machine has other work."""

client = mlflow.MlflowClient()


def say(**known: Any) -> None:
    sys.stdout.write(json.dumps(known) + "\n")
    sys.stdout.flush()


def read_back(run: str) -> None:
    kept = client.get_run(run)
    say(
        uri=os.environ["MLFLOW_TRACKING_URI"],
        run=run,
        status=kept.info.status,
        params=kept.data.params,
        metrics=kept.data.metrics,
        notes=mlflow.artifacts.load_text(f"{kept.info.artifact_uri}/notes/flight.txt"),
    )


def write(run: str, first: int) -> None:
    for step in count(first, AT_ONCE):
        if STOP.exists():
            return
        client.log_metric(run, "written", step, step=step)
        say(step=step)
        time.sleep(PAUSE_SECONDS)


mlflow.set_experiment("flights")
with mlflow.start_run() as started:
    mlflow.log_param("trees", 100)
    mlflow.log_metric("accuracy", 0.75)
    mlflow.log_text("late\n", "notes/flight.txt")
read_back(started.info.run_id)
with ThreadPoolExecutor(AT_ONCE) as pool:
    # What one of them fails of, the program does, when the others have been told to stop.
    list(pool.map(lambda first: write(started.info.run_id, first), range(AT_ONCE)))
