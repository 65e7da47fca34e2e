"""MLflow's app with a login, as uvicorn serves it: `server.auth.app:app`, which makes it."""

import os

from mlflow.server import auth

from ..bridge import Bridge
from ..flask_app import flask_app
from .checks import Checks
from .contract import CACHE_SECONDS
from .memory import Memory
from .messages import Messages
from .ready import Ready
from .sessions import Sessions
from .store import RememberingStore

store = RememberingStore(Memory(int(os.environ[CACHE_SECONDS])))
Checks(store).install()
Messages().install()
flask_app.session_interface = Sessions()
served = Bridge(Ready(auth.create_app(), store.engine), flask_app)


def app() -> Bridge:
    """What MLflow's own is too: a function that uvicorn calls."""
    return served
