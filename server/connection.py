"""One connection of a client: uvicorn's own, that drains well, waits its turn and is counted."""

import os
from functools import cache
from typing import Any

from . import metrics_contract
from .admission import Admission, connections
from .draining import Draining


class Connection(Draining):
    """Uvicorn finds it by `--http server.connection:Connection`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = served(self.app)


@cache
def served(app: Any) -> Any:
    """The app that all connections of a worker share."""
    port = os.environ.get(metrics_contract.PORT)
    if port is None:
        return Admission(app, connections())
    from .metrics import WAITED, Metrics  # not at the top: it takes Prometheus' client

    return Metrics(Admission(app, connections(), waited=WAITED.inc), int(port))
