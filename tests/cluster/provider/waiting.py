"""Waits for objects to become ready, and to be gone."""

import threading
import time
from collections.abc import Sequence

from tests.engine.cloud.wire import at

from .api_server import ApiServer
from .manifest import Manifest, Reference, annotation, says_true
from .readiness import CHECKS, Verdict

SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT = "pulumi.com/timeoutSeconds"
PAUSE = 0.5
"""Seconds between two looks."""
CREATE_SECONDS = 600
DELETE_SECONDS = {"Job": 300, "Namespace": 300, "Pod": 300}
"""Others have ten minutes to go."""
GOES_UNWATCHED = {"Deployment", "DaemonSet", "StatefulSet", "Pod", "Namespace"}
"""Types whose objects are not waited for at their end either, if they say `skipAwait`."""


class NotReadyError(Exception):
    """The object is there, but not as it should be."""

    def __init__(self, live: Manifest, what: str, reasons: Sequence[str]) -> None:
        super().__init__(what)
        self.live, self.reasons = live, reasons


class CancelledError(Exception):
    """The engine does not want to wait any longer."""


class Waiting:
    """Waits as long as the real provider would, with one difference.

    What is hopeless for `patience` seconds, as when an image is not there, is not waited for until
    the time is over: the end is told at once, in the words that it would have then.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End every wait."""
        self._cancelled.set()

    def until_ready(self, api: ApiServer, applied: Manifest, seconds: float) -> Manifest:
        """Return the object as it is when it is ready."""
        where = Reference.of(applied)
        if not self._is_awaited(applied):
            return api.read(where) or applied
        deadline = time.monotonic() + (seconds or _stated(applied) or CREATE_SECONDS)
        lost_since: float | None = None
        while True:
            live = api.read(where)
            if live is None:
                raise NotReadyError(applied, f"{where.id!r} was deleted by somebody else", [])
            verdict = CHECKS[where.api_version, where.kind](api, live)
            if verdict.ready:
                return live
            if verdict.failed:
                raise unfinished(live, verdict)
            now = time.monotonic()
            lost_since = (lost_since or now) if verdict.hopeless else None
            if now > deadline or (lost_since and now - lost_since > self._patience):
                name = where.name
                what = f"'{name}' timed out waiting to be Ready"
                raise NotReadyError(live, what, verdict.messages)
            self._pause()

    def is_ready(self, api: ApiServer, live: Manifest) -> Verdict:
        """Look once."""
        if not self._is_awaited(live):
            return Verdict(ready=True)
        return CHECKS[live["apiVersion"], live["kind"]](api, live)

    def until_gone(self, api: ApiServer, where: Reference, old: Manifest, seconds: float) -> None:
        """Return when there is no such object, or another one of the same name."""
        if says_true(old, SKIP_AWAIT) and where.kind in GOES_UNWATCHED:
            return
        limit = seconds or _stated(old) or DELETE_SECONDS.get(where.kind, CREATE_SECONDS)
        deadline = time.monotonic() + limit
        while live := api.read(where):
            if at(live, "metadata.uid") != (at(old, "metadata.uid") or at(live, "metadata.uid")):
                return
            if time.monotonic() > deadline:
                kept = ", ".join(at(live, "metadata.finalizers") or []) or _conditions(live)
                raise NotReadyError(
                    live, f"'{where.name}' timed out waiting to be gone: {kept}", []
                )
            self._pause()

    def _is_awaited(self, manifest: Manifest) -> bool:
        known = (manifest["apiVersion"], manifest["kind"]) in CHECKS
        return known and not says_true(manifest, SKIP_AWAIT)

    def _pause(self) -> None:
        if self._cancelled.wait(PAUSE):
            raise CancelledError("Resource operation was cancelled")


def unfinished(live: Manifest, verdict: Verdict) -> NotReadyError:
    """Say that an object was made and is not what it should be."""
    name = live["metadata"]["name"]
    what = f"Resource '{name}' was created but failed to initialize"
    return NotReadyError(live, what, verdict.messages)


def _stated(manifest: Manifest) -> float:
    return float(annotation(manifest, TIMEOUT) or 0)


def _conditions(live: Manifest) -> str:
    conditions = at(live, "status.conditions") or []
    return "; ".join(each.get("message", "") for each in conditions if each["status"] == "True")
