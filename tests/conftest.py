"""What holds for every tier."""

import gc
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import preloaded

# `make` does not activate the environment, and MLflow runs a project with the `python` on PATH.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# A shell that starts the tests in the background has them and all that they start ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is imported stays. To look through it for garbage again and again takes a fifth of the time.
gc.disable()

TOGETHER = (
    "tests/cluster/kind/",
    "tests/cluster/",
    "tests/training/",
    "tests/local/(?!test_(cluster_|draining|login|lost|metrics|migration|postgres|process|store))",
    "tests/engine/",
    "tests/local/test_(login|migration)",
    "tests/local/test_(lost_connections|store_is_stock)",
)
"""Files whose tests share what takes long to start, those that take longest first. Others are
alone, and come after them."""


def scope(nodeid: str) -> str:
    """What goes to one worker: tests of a file go on from each other."""
    matching = (group for group in TOGETHER if re.match(group, nodeid))
    return next(matching, nodeid.partition("::")[0])


class ByScope(LoadScopeScheduling):
    """A worker gets whole scopes."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it at the end."""
    rank = {group: number for number, group in enumerate(TOGETHER)}
    items.sort(key=lambda item: rank.get(scope(item.nodeid), len(rank)))


def pytest_configure(config: pytest.Config) -> None:
    """A folder for each session: pytest's own is shared by all of a user's, and each new session
    closes it to the other users, as whom databases and stores of the older ones run."""
    if config.option.basetemp is None:  # a worker is given a folder in its session's
        config.option.basetemp = tempfile.mkdtemp(prefix="mlflow-platform-tests-")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
    if not hasattr(config, "workerinput"):  # workers use their session's
        stack = ExitStack()
        stack.enter_context(preloaded.served())
        config.add_cleanup(stack.close)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """From its end on there is garbage, and what was imported is passed over."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Workers that import what scientists do begin with it. To those of one tier it is a burden."""
    if len(config.args) > 1:
        for spec in specs:
            spec.python = preloaded.python()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Hand the tests out in our way, whatever `--dist` says."""
    return ByScope(config, log)
