"""The tunnel from this machine to a server that nobody else can reach."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from .problem import Problem

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.25


def answers(uri: str) -> bool:
    """Whether a tracking server says there that it is well."""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=5) as response:  # noqa: S310
            return bool(response.read(16).strip() == b"OK")
    except (OSError, urllib.error.URLError, ValueError):
        return False


@contextmanager
def opened(
    command: str, uri: str, patience: float = PATIENCE_SECONDS
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the shell command that opens the tunnel, wait for the server, end it at the end."""
    # A session of its own: `sh` ended alone would leave kubectl behind.
    process = subprocess.Popen(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        limit = time.monotonic() + patience
        while not answers(uri):
            if (code := process.poll()) is not None:
                raise Problem(f"the tunnel ended with {code}; it is opened by: {command}")
            if time.monotonic() > limit:
                raise Problem(
                    f"{uri} does not answer after {patience:.0f} s, though the tunnel is open. "
                    "Ask whoever runs the stack whether its pods are Ready"
                )
            time.sleep(POLL_SECONDS)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
