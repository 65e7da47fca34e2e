"""What a data scientist does against the stack: train, look at the run, search, use the best."""

import json
import os
import subprocess
from pathlib import Path

import mlflow.projects
import pytest
from mlflow import MlflowClient

from tests import preloaded
from tools.project import ROOT

PLOTS = {"confusion_matrix.png", "feature_importance.png", "roc.png"}
PREDICT = """
import json
import mlflow.pyfunc

challenger = mlflow.pyfunc.load_model("models:/flights@challenger")
predicted = challenger.predict(challenger.input_example)
print(json.dumps([challenger.metadata.run_id, predicted.tolist()]))
"""


@pytest.fixture(scope="session")
def train(stack, tmp_path_factory):
    """Run an entry point of the training project as its README says; return its run."""
    project = str(ROOT / "training")
    flights = str(tmp_path_factory.mktemp("data") / "flights.parquet")

    def run(entry, experiment, **parameters):
        # As the command does, which would first import MLflow for seconds.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", stack.uri)
            mlflow.projects.run(
                project,
                entry,
                experiment_name=experiment,
                parameters={"fpath": flights, "rows": 12000, **parameters},
                env_manager="local",
            )
        client = MlflowClient(stack.uri)
        found = client.get_experiment_by_name(experiment)
        runs = client.search_runs([found.experiment_id], "attributes.status = 'FINISHED'")
        return next(one for one in runs if "mlflow.parentRunId" not in one.data.tags)

    command = ["mlflow", "run", project, "--env-manager=local", f"-Pfpath={flights}"]
    command += ["--entry-point=data", "--experiment-name=data"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": stack.uri}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)
    return run


@pytest.fixture(scope="session")
def forest(train):
    return train("forest", "late flights", n_estimators=10)


def artifacts(client, run, path=None):
    for entry in client.list_artifacts(run, path):
        yield entry.path
        if entry.is_dir:
            yield from artifacts(client, run, entry.path)


def test_a_forest_beats_always_answering_on_time(forest):
    assert forest.data.metrics["accuracy"] > forest.data.metrics["baseline_accuracy"]


def test_its_plots_lie_beside_it(stack, forest):
    files = {Path(path).name for path in artifacts(MlflowClient(stack.uri), forest.info.run_id)}

    assert files >= PLOTS


def test_the_page_shows_the_run_what_it_logged_its_model_and_its_plots(stack, forest, page):
    run = f"{stack.uri}/#/experiments/{forest.info.experiment_id}/runs/{forest.info.run_id}"
    overview = page(run)
    shown = overview + page(f"{run}/artifacts/plots/roc.png")
    logged = forest.data.metrics | forest.data.params
    parts = ("baseline_accuracy", "n_estimators")

    assert forest.info.run_name in overview
    assert [name for name in parts if name not in overview] == []
    assert [name for name in parts if f">{logged[name]}<" not in overview] == []
    assert ">model<" in shown
    assert [plot for plot in PLOTS if plot not in shown] == []


def test_the_best_forest_of_a_search_is_the_registered_challenger_and_predicts(stack, train):
    best = train("hyperopt", "search", trials=2, trial_rows=3000, max_trees=8)
    # Not here: what loads it looks for each of its types in every module that there is.
    loaded = subprocess.run(
        [preloaded.python(), "-c", PREDICT],
        env=os.environ | {"MLFLOW_TRACKING_URI": stack.uri},
        stdout=subprocess.PIPE,
        check=True,
    )
    run, predicted = json.loads(loaded.stdout.splitlines()[-1])

    assert run == best.info.run_id
    assert {*predicted} <= {0, 1}
