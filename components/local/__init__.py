"""MLflow and what it needs as processes of this machine, on loopback only."""

from .loopback import HOST
from .object_store import ObjectStore, ObjectStoreArgs
from .postgres import Postgres, PostgresArgs
from .server import Server, ServerArgs

__all__ = [
    "HOST",
    "ObjectStore",
    "ObjectStoreArgs",
    "Postgres",
    "PostgresArgs",
    "Server",
    "ServerArgs",
]
