"""MLflow's app, as uvicorn serves it: `server.app:app`."""

from mlflow.server import app as flask_app
from mlflow.server import handlers, is_running_as_server
from mlflow.server.fastapi_app import app as fastapi_app

from .bridge import Bridge
from .message_json import message_to_json
from .static_files import serve_compressed

if not is_running_as_server:
    raise RuntimeError("MLflow's Flask app checks neither hosts nor origins: import uvicorn first")

vars(handlers)["message_to_json"] = message_to_json
serve_compressed(flask_app)
app = Bridge(fastapi_app, flask_app)
