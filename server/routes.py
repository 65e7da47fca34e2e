"""Which route answers a request, told to who handed the request over.

There are as many paths such as `/ajax-api/2.0/mlflow/logged-models/m-1f3c` as there are models.
"""

from contextvars import ContextVar

from flask import Flask, Response, request

taken: ContextVar[list[str] | None] = ContextVar("taken", default=None)
"""Takes the route's pattern; it follows the request into whichever task and thread."""


def note(route: str) -> None:
    """Say that it is this one."""
    if (routes := taken.get()) is not None:
        routes.append(route)


def tell_routes(flask: Flask) -> None:
    """Have a Flask app note the route of each request."""
    flask.after_request(_note_flasks)


def _note_flasks(response: Response) -> Response:
    if request.url_rule:
        note(request.url_rule.rule)
    return response
