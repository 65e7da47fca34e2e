"""One connection of a client: uvicorn's own, that drains well and waits its turn."""

from functools import cache
from typing import Any

from .admission import Admission, connections
from .draining import Draining


class Connection(Draining):
    """Uvicorn finds it by `--http server.connection:Connection`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = admitted(self.app)


@cache
def admitted(app: Any) -> Admission:
    """The app that all connections of a worker share."""
    return Admission(app, connections())
