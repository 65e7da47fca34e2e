"""What MLflow's checks parse of a request, and its handlers once more, is parsed once.

To see which models metrics are for, a check reads all of them. A batch takes as long to parse as
to write.
"""

from typing import Any

from flask import request
from mlflow.protos.service_pb2 import LogBatch, LogMetric
from mlflow.server import handlers

KEPT = "server.auth.message"
"""Where a request keeps it, beside what WSGI says of it. No client can write there."""

KINDS = {LogBatch, LogMetric}


class Messages:
    """What MLflow's handlers ask in place of functions of the same names.

    Its checks know the second one by a name of their own, and always parse.
    """

    def __init__(self) -> None:
        self._parse: Any = handlers.parse_dict  # type: ignore[attr-defined]
        self._get: Any = handlers._get_request_message

    def install(self) -> None:
        """Reach MLflow's handlers."""
        vars(handlers).update(parse_dict=self.parse, _get_request_message=self.get)

    def parse(self, body: Any, message: Any) -> None:
        """Fill a message. What cannot be parsed is not kept: the handler says what is wrong."""
        self._parse(body, message)
        if type(message) in KINDS:
            request.environ[KEPT] = body, message

    def get(self, message: Any, flask_request: Any = request, schema: Any = None) -> Any:
        """The message that a request is; the handler's own conditions are checked here too."""
        body, kept = request.environ.get(KEPT, (None, None))
        if (
            type(message) is not type(kept)
            or handlers._get_normalized_request_json(flask_request) is not body
        ):
            return self._get(message, flask_request, schema)
        handlers._validate_request_json_with_schema(body, schema, True)
        message.CopyFrom(kept)
        return message
