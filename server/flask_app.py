"""MLflow's Flask app, with our JSON, the files of its pages compressed, and known routes."""

from mlflow.server import app as flask_app
from mlflow.server import handlers, is_running_as_server

from .message_json import message_to_json
from .routes import tell_routes
from .static_files import serve_compressed

__all__ = ["flask_app"]

if not is_running_as_server:
    raise RuntimeError("MLflow's Flask app checks neither hosts nor origins: import uvicorn first")

vars(handlers)["message_to_json"] = message_to_json
serve_compressed(flask_app)
tell_routes(flask_app)
