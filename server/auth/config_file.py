"""The file in which MLflow reads where its users are, and what they may do by default.

It holds the database's URL, password included, so nobody else may read it, and where that can be
done it is gone before the first request.
"""

import os
import tempfile
from configparser import ConfigParser
from pathlib import Path

from .contract import ADMIN, DEFAULT_PERMISSION

PATH = "MLFLOW_AUTH_CONFIG_PATH"
"""By which MLflow finds it."""


def write_config_file(*, password_seconds: int = 0) -> Path:
    """Write it, and tell MLflow of it, and how long it may remember that a password was right."""
    parser = ConfigParser(interpolation=None)
    parser["mlflow"] = {
        "default_permission": os.environ[DEFAULT_PERMISSION],
        # Its reader takes one of two.
        "database_uri": os.environ["MLFLOW_BACKEND_STORE_URI"].replace("%", "%%"),
        "admin_username": ADMIN,
        "auth_cache_ttl_seconds": str(password_seconds),
    }
    descriptor, name = tempfile.mkstemp(suffix=".ini")
    with os.fdopen(descriptor, "w") as file:
        parser.write(file)
    os.environ[PATH] = name
    return Path(name)
