"""Runs in a pod: logs a run, reads it back, and goes on writing until it is told to stop.

Each line of its output is what the server has said that it has.
"""

import json
import os
import time
from pathlib import Path

import mlflow

STOP = Path("/tmp/stop")
PAUSE = 0.02

mlflow.set_experiment("flights")
with mlflow.start_run(run_name="from a pod") as run:
    mlflow.log_param("trees", 100)
    mlflow.log_metric("accuracy", 0.75)
    mlflow.log_text("late\n", "notes/flight.txt")

kept = mlflow.get_run(run.info.run_id)
read = {
    "uri": os.environ["MLFLOW_TRACKING_URI"],
    "run": run.info.run_id,
    "status": kept.info.status,
    "params": kept.data.params,
    "metrics": kept.data.metrics,
    "notes": mlflow.artifacts.load_text(f"{kept.info.artifact_uri}/notes/flight.txt"),
}
print(json.dumps(read), flush=True)

client = mlflow.MlflowClient()
step = 0
while not STOP.exists():
    step += 1
    client.log_metric(run.info.run_id, "written", step, step=step)
    print(json.dumps({"step": step, "time": time.time()}), flush=True)
    time.sleep(PAUSE)
