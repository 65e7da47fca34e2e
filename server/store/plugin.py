"""Which store MLflow's server opens."""

import os

from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.server import handlers
from mlflow.server.constants import READ_REPLICA_BACKEND_STORE_URI_ENV_VAR
from mlflow.store.tracking.abstract_store import AbstractStore

from .postgres import PostgresStore


def register() -> None:
    """Have MLflow open ours for `postgresql` URIs, in this process and its forks.

    It is what MLflow does itself with an entry point of `mlflow.tracking_store`.
    """
    handlers._tracking_store_registry.register("postgresql", tracking_store)


def tracking_store(store_uri: str, artifact_uri: str) -> AbstractStore:
    """Ours, or MLflow's own where every query has another condition or another database."""
    if MLFLOW_ENABLE_WORKSPACES.get() or os.environ.get(READ_REPLICA_BACKEND_STORE_URI_ENV_VAR):
        mlflows: AbstractStore = handlers.TrackingStoreRegistryWrapper._get_sqlalchemy_store(
            store_uri, artifact_uri
        )
        return mlflows
    return PostgresStore(store_uri, artifact_uri)
