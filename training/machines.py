"""The machines that make trials: the cluster that RAY_ADDRESS names, or this one alone."""

import logging
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Ray reads these when it is imported.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
CLUSTER = os.environ.get("RAY_ADDRESS")
if CLUSTER is None:
    os.environ |= {
        # What Ray does on macOS by default: it listens on loopback only.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Only this process and its children may call. Ray would put a token into the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }

import ray  # noqa: E402


@contextmanager
def connected(workers: int, folder: Path) -> Iterator[None]:
    """Have Ray: the cluster that RAY_ADDRESS names, or one of its own on this machine."""
    if CLUSTER:
        where: dict[str, Any] = {"address": CLUSTER}
    else:
        where = {"num_cpus": workers, "include_dashboard": False, "_temp_dir": str(folder)}
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    # Ray has put its own in the place of the one that ends our runs.
    signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()
