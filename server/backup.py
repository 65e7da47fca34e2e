"""An on-demand Cloud SQL backup: what a schema migration can be undone with."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Self

import google.auth
from google.auth.transport.requests import AuthorizedSession

logger = logging.getLogger(__name__)

API = "https://sqladmin.googleapis.com/v1"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
POLL_SECONDS = 5.0
TIMEOUT_SECONDS = 30 * 60
UNDER_WAY = ("ENQUEUED", "OVERDUE", "RUNNING")
BUSY = 409
"""Cloud SQL runs one operation per instance at a time; its own nightly backup is one of them."""


class BackupFailed(Exception):
    """No backup was made, so nothing may be changed."""


@dataclass(frozen=True)
class Instance:
    """A Cloud SQL instance, as its project and its name in it."""

    project: str
    name: str

    @classmethod
    def named(cls, connection_name: str) -> Self:
        """From `PROJECT:REGION:INSTANCE`, the name by which the SQL proxy knows it."""
        # From the right: a project may be called `example.com:project`.
        project, _, name = connection_name.rsplit(":", 2)
        return cls(project, name)

    def back_up(self, description: str) -> str:
        """Take a backup, wait until it is complete and return its id."""
        credentials, _ = google.auth.default(scopes=SCOPES)
        api = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + TIMEOUT_SECONDS

        # Not the operation: rights on one instance cover its backups, operations are the project's.
        backup = str(self._start(api, description, deadline)["backupContext"]["backupId"])
        while (run := _answer(api.get(f"{self._runs}/{backup}")))["status"] in UNDER_WAY:
            _wait(deadline, f"backup {backup} of {self.name} is not complete")
        if run["status"] != "SUCCESSFUL":
            why = run.get("error", {}).get("message", "Cloud SQL does not say why")
            raise BackupFailed(f"backup {backup} of {self.name} ended as {run['status']}: {why}")
        return backup

    def restore_command(self, backup: str) -> str:
        """What to type to put the backup back in place of everything written since."""
        return (
            f"gcloud sql backups restore {backup}"
            f" --restore-instance={self.name} --project={self.project}"
        )

    @property
    def _runs(self) -> str:
        return f"{API}/projects/{self.project}/instances/{self.name}/backupRuns"

    def _start(self, api: AuthorizedSession, description: str, deadline: float) -> dict[str, Any]:
        while True:
            response = api.post(self._runs, json={"description": description})
            if response.status_code != BUSY:
                return _answer(response)
            logger.info("Cloud SQL is busy with another operation of %s; waiting", self.name)
            _wait(deadline, f"another operation of {self.name} did not end")


def _answer(response: Any) -> dict[str, Any]:
    if not response.ok:
        raise BackupFailed(f"Cloud SQL answered {response.status_code}: {response.text.strip()}")
    answer: dict[str, Any] = response.json()
    return answer


def _wait(deadline: float, why: str) -> None:
    if time.monotonic() > deadline:
        raise BackupFailed(f"{why} after {TIMEOUT_SECONDS // 60} minutes")
    time.sleep(POLL_SECONDS)
