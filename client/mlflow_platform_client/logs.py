"""What the pods of a run print, printed here as well."""

import threading
import time
from datetime import datetime

from .cluster import Cluster, Unreachable
from .problem import Problem

LAST_LINES_SECONDS = 10
AGAIN_SECONDS = 1


class Log:
    """Follows one pod after the other, while somebody else looks after the Job."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pod = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, pod: str) -> None:
        """Print what this pod prints from its start on."""
        if pod == self._pod:
            return
        self.finish()
        self._pod, self._ended = pod, threading.Event()
        self._thread = threading.Thread(target=_print, args=(self._cluster, pod, self._ended))
        self._thread.daemon = True
        self._thread.start()

    def finish(self) -> None:
        """Wait for the last lines: the pod has ended."""
        if self._thread:
            self._ended.set()
            self._thread.join(LAST_LINES_SECONDS)


def _print(cluster: Cluster, pod: str, ended: threading.Event) -> None:
    last = ""
    while True:
        # What breaks off while the pod goes on is a connection: it is taken up again.
        final = ended.is_set()
        since = None
        if last:
            passed = time.time() - datetime.fromisoformat(last[:19] + "+00:00").timestamp()
            since = int(passed) + 2
        try:
            for line in cluster.log(pod, since):
                when, _, text = line.partition(" ")
                if when > last:
                    print(text, flush=True)
                    last = when
        except Unreachable:
            pass
        except Problem:
            return  # the pod is gone, and its log with it
        if final:
            return
        ended.wait(AGAIN_SECONDS)
