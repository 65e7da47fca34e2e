"""What `server/store` takes for granted of MLflow, and when it is used."""

import hashlib
import inspect

import pytest
from mlflow.server import handlers
from mlflow.store.tracking import sqlalchemy_store as mlflows
from mlflow.store.tracking.dbmodels import models
from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

from server.store import plugin
from server.store.postgres import PostgresStore

Store = mlflows.SqlAlchemyStore

DONE_AGAIN = {
    Store.log_metric: "6879e33b0b47",
    Store.log_param: "59473f77e308",
    Store.set_tag: "b23963bf08b0",
    Store.log_batch: "5616623d30fd",
    Store.create_run: "1977e5b6797b",
    Store.get_run: "bd060906b88f",
    Store._search_runs: "5235efb440f8",
    Store.search_experiments: "858ecc0d8199",
    Store._search_experiments: "d3198a54dc83",
    Store._to_experiment: "21273162f46b",
    Store._experiment_where_clauses: "8c32687066da",
    Store._get_effective_experiment_trace_archival_retention_context: "0c1fdda16fc7",
    Store.sanitize_metric_value: "6552ab68700c",
    Store._log_metrics: "0affe82445dc",
    Store._log_metrics_once: "f1c94a7256af",
    Store._update_latest_metrics_if_necessary: "9a68eb580f00",
    Store._log_params: "35754b45b5a5",
    Store._set_tags: "a47520dc63cd",
    Store._get_run: "bdb42651147d",
    Store._get_run_inputs: "48b091ad4c46",
    Store._get_model_inputs: "e1fd61eddced",
    Store._get_model_outputs: "469fc35c6667",
    Store._get_model_outputs_bulk: "c4f5e9ee613b",
    Store._check_run_is_active: "2d0a464a2b7c",
    Store._check_experiment_is_active: "73de7d7bfa78",
    models.SqlExperiment: "96063051fa70",
    models.SqlExperimentTag: "2c6794776187",
    models.SqlRun: "e4c00dea58e0",
    models.SqlTag: "550a6b9635d9",
    models.SqlParam: "8642ca9285e4",
    models.SqlMetric: "f4349d9a70ae",
    models.SqlLatestMetric: "dcd66eadd915",
    mlflows._get_orderby_clauses: "c048293f9b23",
    mlflows._get_sqlalchemy_filter_clauses: "faede20adc4b",
    mlflows._get_search_experiments_filter_clauses: "5dc8481263ec",
    mlflows._get_search_experiments_order_by_clauses: "8c28af297775",
    handlers.TrackingStoreRegistryWrapper: "b4a6a483650b",
}
"""What ours does in other words, or hands something to, as it was when the two were compared."""


def fingerprint(of) -> str:
    return hashlib.sha256(inspect.getsource(of).encode()).hexdigest()[:12]


@pytest.mark.parametrize("of", DONE_AGAIN, ids=lambda of: of.__qualname__)
def test_mlflow_still_does_what_ours_does_in_its_place(of):
    """If not: read what has changed, follow it, and run `tests/local/test_store_is_stock.py`."""
    assert fingerprint(of) == DONE_AGAIN[of]


@pytest.fixture
def opened(monkeypatch):
    """Which store is opened, without a database."""
    for store in (Store, WorkspaceAwareSqlAlchemyStore, PostgresStore):
        monkeypatch.setattr(store, "__init__", lambda *_, **__: None)
    registry = handlers.TrackingStoreRegistryWrapper()
    monkeypatch.setattr(handlers, "_tracking_store_registry", registry)
    plugin.register()
    return lambda uri: type(registry.get_store(uri, "mlflow-artifacts:/"))


@pytest.mark.parametrize("driver", ["", "+psycopg2", "+psycopg"])
def test_ours_is_opened_on_postgres(opened, driver):
    assert opened(f"postgresql{driver}://mlflow@127.0.0.1/mlflow") is PostgresStore


def test_another_database_is_mlflows(opened):
    assert opened("mysql+pymysql://mlflow@127.0.0.1/mlflow") is Store


@pytest.mark.parametrize(
    ("variable", "value", "store"),
    [
        ("MLFLOW_ENABLE_WORKSPACES", "true", WorkspaceAwareSqlAlchemyStore),
        ("_MLFLOW_SERVER_READ_REPLICA_BACKEND_STORE", "postgresql://replica/mlflow", Store),
    ],
)
def test_workspaces_and_read_replicas_are_mlflows(opened, monkeypatch, variable, value, store):
    monkeypatch.setenv(variable, value)

    assert opened("postgresql://mlflow@127.0.0.1/mlflow") is store
