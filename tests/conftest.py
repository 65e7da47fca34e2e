"""What holds for every tier."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# `make` does not activate the environment, and MLflow runs a project with the `python` on PATH.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# A shell that starts the tests in the background has them and all that they start ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

TOGETHER = ("local", "cluster")
"""Tiers in which the tests of a folder share what takes long to start."""


class ByFile(LoadScopeScheduling):
    """A worker gets whole files, whose tests go on from each other, or a whole folder."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return str(file.parent if file.parts[1] in TOGETHER else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Hand the tests out in our way, whatever `--dist` says."""
    return ByFile(config, log)
