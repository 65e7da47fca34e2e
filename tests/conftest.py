"""What holds for every tier."""

import os
import sys
from pathlib import Path

import pytest

# `make` does not activate the environment, and MLflow runs a project with the `python` on PATH.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

TESTS = Path(__file__).parent

TOGETHER = ("local",)
"""Tiers whose tests share what takes long to start."""


@pytest.hookimpl(tryfirst=True)  # the workers read it in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests one worker runs: those of a file go on from each other."""
    for item in items:
        path = item.path.relative_to(TESTS)
        tier = path.parts[0]
        item.add_marker(pytest.mark.xdist_group(tier if tier in TOGETHER else str(path)))
