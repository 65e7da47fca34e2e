"""MLflow's app, as uvicorn serves it: `server.app:app`."""

import sys

from mlflow.server.fastapi_app import app as fastapi_app

from .bridge import Bridge
from .flask_app import flask_app

# Where it can be imported, each search of runs looks who asks, also where nobody logs in.
sys.modules["mlflow.server.auth"] = None  # type: ignore[assignment]

app = Bridge(fastapi_app, flask_app)
