"""Seconds from `mlflow run` to an accepted Job: our backend beside MLflow's own, in turns.

`python -m benchmarks.submission`, on Linux as root: it starts a Kubernetes node, a registry and a
stack for itself, and ends them. On a cluster that is there already, with Docker, type:
`TEST_KUBECONFIG=… TEST_REGISTRY=… python -m benchmarks.submission`.

The project is `training/`, with an entry point that does nothing. A round changes one of its
files, submits it in each way, and once more as it is. The first round counts by itself: MLflow's
own backend looks then which layers the registry has. A Job is there when the cluster tells of it.
"""

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch

from tests import installed
from tests.cluster import cluster as clusters
from tests.cluster.images import docker as dockers
from tests.cluster.kind import stack as stacks
from tests.cluster.kind import stock_backend
from tests.cluster.kind.stack import Stack
from tests.cluster.requirements import CannotRun

from .servers import FOLDER

PATIENCE_SECONDS = 600
"""For a Job to end, once it is there."""

LOOK_SECONDS = 10

FIRST, CHANGED, SAME = "the first", "a changed project", "the same again"

NOTHING = {"command": "true"}
"""The entry point: what a Job does once it is there has no part in this."""

PLATFORM = ("--backend=platform", "--backend-config=platform.json")
KUBERNETES = ("--backend=kubernetes", "--backend-config=k8s_config.json")
WAYS = {
    "platform": ("training", *PLATFORM),
    "kubernetes --build-image": ("k8s_project", *KUBERNETES, "--build-image"),
    "kubernetes": ("k8s_project", *KUBERNETES),
}
TAKES_NO_CHANGE = "kubernetes"
"""It runs the image as it is, with the project that the image was built with."""


class Scientist:
    """Somebody in `access.people` who has a project and typed `connect`."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._folder, self._namespace = folder, stack.training
        self._jobs = client.BatchV1Api(config.new_client_from_config(str(stack.cluster.kubeconfig)))
        self._changed = folder / "training" / "changed"
        described = self._changed.with_name("MLproject")
        shutil.copytree(
            stack.program / "training", described.parent, ignore=shutil.ignore_patterns("data")
        )
        entry_points = f"entry_points:\n  nothing: {json.dumps(NOTHING)}\n"
        described.write_text(described.read_text().replace("entry_points:\n", entry_points))
        self.change()
        stock = stock_backend.environment(stack, folder)
        client_of_ours = (str(installed.client(folder / "client")), str(installed.CLIENT))
        ours = stock | {"PYTHONPATH": os.pathsep.join(client_of_ours)}
        self._environments = {"kubernetes": stock, "platform": ours}
        outputs = folder / "outputs.json"
        outputs.write_text(json.dumps(stack.outputs()))
        connect = [sys.executable, "-m", "mlflow_platform_client", "connect", stack.name]
        subprocess.run(
            [*connect, f"--outputs={outputs}", "--no-tunnel"],
            cwd=folder,
            env=os.environ | ours,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def change(self) -> None:
        """Edit one file of the project."""
        self._changed.write_text(secrets.token_hex())

    def submit(self, way: str) -> float:
        """Seconds until there is a Job; returns when that has ended."""
        project, *options = WAYS[way]
        typed = (
            f"set -a; . ./.env; set +a; exec mlflow run {project} -e nothing {' '.join(options)}"
        )
        listed = self._jobs.list_namespaced_job(self._namespace).metadata
        log = self._folder / "log"
        with log.open("w") as printed:
            began = time.perf_counter()
            process = subprocess.Popen(
                ["sh", "-c", typed],
                cwd=self._folder,
                env=os.environ | self._environments[way.split()[0]],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            try:
                accepted = self._sees_a_new_job(process, listed)
                seconds = time.perf_counter() - began
                process.wait(PATIENCE_SECONDS)
            finally:
                process.kill()
                process.wait()
        if process.returncode or not accepted:
            raise RuntimeError(f"mlflow run {project} {' '.join(options)}:\n{log.read_text()}")
        return seconds

    def _sees_a_new_job(self, process: "subprocess.Popen[bytes]", listed: Any) -> bool:
        while process.poll() is None:
            # Told again from the same moment on, so nothing falls between two looks.
            events = watch.Watch().stream(
                self._jobs.list_namespaced_job,
                self._namespace,
                resource_version=listed.resource_version,
                timeout_seconds=LOOK_SECONDS,
            )
            if any(event["type"] == "ADDED" for event in events):
                return True
        return False


def measure(scientist: Scientist, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Seconds by way, and by what the project was."""
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for way in sorted(WAYS, reverse=number % 2 == 0):
            for project in (CHANGED if number else FIRST, SAME):
                if project != SAME:
                    if way == TAKES_NO_CHANGE:
                        continue
                    scientist.change()
                took = scientist.submit(way)
                print(f"round {number} of {rounds}: {way}, {project}, {took:.1f}", file=sys.stderr)
                if number or project == FIRST:
                    seconds[way, project].append(took)
    return seconds


def markdown(seconds: dict[tuple[str, str], list[float]]) -> str:
    """The table, with medians."""
    projects = (FIRST, CHANGED, SAME)
    lines = [f"| `--backend` | {' | '.join(projects)} |", "|---|--:|--:|--:|"]
    for way in WAYS:
        cells = [seconds.get((way, project)) for project in projects]
        shown = [f"{statistics.median(cell):.1f}" if cell else "–" for cell in cells]
        lines.append(f"| {way} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, print, and leave the table in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        try:
            cluster = opened.enter_context(clusters.started())
            docker = opened.enter_context(dockers.started())
        except CannotRun as reason:
            sys.exit(f"error: {reason}")
        place = Path(folder)
        stack = opened.enter_context(stacks.made(cluster, docker, place / "stack"))
        stack.up()
        opened.enter_context(stack.tunnel())
        seconds = measure(Scientist(stack, place / "scientist"), rounds)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "submission.md").write_text(markdown(seconds))
    print(markdown(seconds))


if __name__ == "__main__":
    main()
