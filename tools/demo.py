"""`make demo`: the local stack, a model trained on it, and where to look.

Every step leaves what it made, so a second run finds it and changes nothing.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from tools import logged, progress, pulumi_cli, stack
from tools.project import PYTHON, ROOT

EXPERIMENT = "flights"
TRAINING = ROOT / "training"
DATA = TRAINING / "data" / "flights.parquet"
TAG = "demo.inputs"
"""Names, in a finished run, the code and data it was trained from."""


class DidNotStart(Exception):
    """`pulumi up` failed; the message is what it said about why."""


@dataclass(frozen=True)
class Tracking:
    """The server that the stack handed over, as the training project is told of it."""

    uri: str

    @property
    def environment(self) -> dict[str, str]:
        """For `mlflow run`, which finds `python` on PATH, and is not to phone home."""
        path = os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", os.defpath)])
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
        return os.environ | quiet | {"PATH": path, "MLFLOW_TRACKING_URI": self.uri}

    def launch(self, entry_point: str) -> str:
        """Run an entry point of the training project and return its run's id."""
        command = [str(PYTHON.parent / "mlflow"), "run", str(TRAINING), "-e", entry_point]
        options = ["--env-manager", "local", "--experiment-name", EXPERIMENT]
        options += ["--run-name", entry_point]
        output = logged.run(f"training-{entry_point}", [*command, *options], self.environment)
        found = re.search(r"Run \(ID '(\w+)'\) succeeded", output)
        if found is None:
            raise RuntimeError(f"`mlflow run` does not say which run it was:\n{output}")
        return found[1]

    def trained_from(self, inputs: str) -> Run | None:
        """The newest finished run with these inputs, if there is one."""
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return None
        wanted = f"tags.`{TAG}` = '{inputs}' AND attributes.status = 'FINISHED'"
        return next(iter(client.search_runs([experiment.experiment_id], wanted)), None)


def start() -> dict[str, Any]:
    """Bring the local stack up and return its outputs."""
    commander = stack.prepare(stack.ProjectStack("local"))
    with progress.step("Postgres, object store, MLflow") as done:
        command = commander.command("up", "--yes", "--skip-preview", "--non-interactive")
        try:
            output = logged.run("up", command, commander.environment)
        except logged.CommandFailed as failure:
            raise DidNotStart(diagnostics(failure.output) or str(failure)) from failure
        done(changes(output))
    show = [str(commander.cli), "stack", "output", "--json", "--stack", "local"]
    answer = subprocess.run(
        show, env=commander.environment, cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    outputs: dict[str, Any] = json.loads(answer.stdout)
    return outputs


def diagnostics(output: str) -> str:
    """The errors that Pulumi shows, without the steps around them and the names of its types."""
    found = re.search(r"^Diagnostics:\n(.*?)(?=^\S|\Z)", output, re.DOTALL | re.MULTILINE)
    text = re.sub("^ {4}", "", found[1], flags=re.MULTILINE) if found else ""
    errors = re.findall(
        r"^error: (.*?)(?=^error: |^warning: |^  \S+ \(\S+\):$|\Z)", text, re.DOTALL | re.M
    )
    preamble = r"^\S+ resource '.*?': property \w+ value .*? has a problem: "
    return "\n".join(re.sub(preamble, "", error).rstrip() for error in errors)


def changes(output: str) -> str:
    """What Pulumi counts in the end, such as `4 created` or `4 unchanged`."""
    found = re.findall(
        r"^ +[-+~]* *(\d+ (?:created|updated|replaced|deleted|unchanged))$", output, re.M
    )
    return ", ".join(found) or "done"


def fingerprint(folder: Path = TRAINING, data: Path = DATA) -> str:
    """Changes when the code of the training or the data do."""
    digest = hashlib.sha256()
    for file in [*sorted(f for f in folder.iterdir() if f.is_file()), data]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def train(tracking: Tracking) -> Run:
    """Prepare the flights and train on them, or find that this was done."""
    with progress.step("Flights of New York, 2013") as done:
        if DATA.exists():
            done("kept: training/data/flights.parquet")
        else:
            tracking.launch("data")
            done("training/data/flights.parquet")
    inputs = fingerprint()
    kept = tracking.trained_from(inputs)
    expect = "" if kept else "about a minute"
    with progress.step("Random forest on the flights", expect) as done:
        if kept:
            done("kept: neither code nor data have changed")
            return kept
        client = MlflowClient(tracking.uri)
        run_id = tracking.launch("forest")
        client.set_tag(run_id, TAG, inputs)
        run = client.get_run(run_id)
        done(f"{run.data.metrics['accuracy']:.1%} of the held-out flights predicted right")
    return run


def summary(outputs: Mapping[str, Any], run: Run) -> str:
    """What there is now, and what to type next."""
    page = f"{outputs['uiUrl']}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    accuracy, baseline = run.data.metrics["accuracy"], run.data.metrics["baseline_accuracy"]
    return f"""
MLflow {outputs["serverVersion"]} is running on this machine.

  open         {outputs["uiUrl"]}
  this run     {page}
  accuracy     {accuracy:.4f} on flights held out; always answering "on time": {baseline:.4f}
  artifacts    {outputs["artifactRoot"]}

Next:
  . .venv/bin/activate
  export MLFLOW_TRACKING_URI={outputs["trackingUri"]} MLFLOW_EXPERIMENT_NAME={EXPERIMENT}
  mlflow run training --env-manager local -e hyperopt    search for a better forest
  make up STACK=dev                                      the same on Google Cloud: README.md
  make down                                              stop; runs are kept
"""


def main() -> None:
    """Run the demo from nothing, or from wherever the last one left off."""
    outputs = start()
    run = train(Tracking(outputs["trackingUri"]))
    print(summary(outputs, run))


if __name__ == "__main__":
    try:
        main()
    except DidNotStart as problem:
        sys.exit(f"error: the local stack did not start.\n{problem}")
    except (stack.NoStack, pulumi_cli.NoPulumi, logged.CommandFailed) as problem:
        sys.exit(f"error: {problem}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; `make demo` goes on from here, `make down` ends what runs")
