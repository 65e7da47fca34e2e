"""MLflow and what it needs as processes of this machine, on loopback only."""

from .loopback import HOST
from .object_store import UPLOAD_CHUNK_BYTES, ObjectStore, ObjectStoreArgs
from .postgres import Postgres, PostgresArgs
from .server import Server, ServerArgs

__all__ = [
    "HOST",
    "UPLOAD_CHUNK_BYTES",
    "ObjectStore",
    "ObjectStoreArgs",
    "Postgres",
    "PostgresArgs",
    "Server",
    "ServerArgs",
]
