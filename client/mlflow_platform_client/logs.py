"""What the pods of a run print, printed here as well."""

import time
from contextlib import suppress

from .cluster import Cluster
from .problem import Problem

OVERLAP_SECONDS = 5


class Log:
    """Asked for again and again: unlike a stream, that survives every lost connection."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pod, self._last, self._asked = "", "", 0.0

    def show(self, pod: str) -> None:
        """Print what this pod has printed since the last time; nothing if nobody can say."""
        if pod != self._pod:
            self._pod, self._last = pod, ""
        now = time.monotonic()
        # Seconds since we asked, whatever the clocks of this machine and of the node say.
        since = int(now - self._asked) + OVERLAP_SECONDS if self._last else None
        with suppress(Problem):
            for line in self._cluster.log(pod, since):
                when, _, text = line.partition(" ")
                if when > self._last:
                    print(text, flush=True)
                    self._last = when
            self._asked = now
