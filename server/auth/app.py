"""MLflow's app with a login, as uvicorn serves it: `server.auth.app:app`, which makes it."""

import os

from mlflow.server import auth, handlers

from ..bridge import Bridge
from ..flask_app import flask_app
from .checks import Checks
from .contract import CACHE_SECONDS
from .memory import Memory
from .ready import Ready
from .store import RememberingStore

Checks(RememberingStore(Memory(int(os.environ[CACHE_SECONDS])))).install()
served = Ready(Bridge(auth.create_app(), flask_app), handlers._get_tracking_store().engine)


def app() -> Ready:
    """What MLflow's own is too: a function that uvicorn calls."""
    return served
