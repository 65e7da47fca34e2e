"""The CLI, a cloud, and stacks of the program on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools import pulumi_cli

from .cloud import StandInCloud
from .stack import Stack


@pytest.fixture(scope="session")
def cli() -> Path:
    """The Pulumi CLI that `make` would use."""
    return pulumi_cli.find()


@pytest.fixture(scope="module")
def cloud() -> Iterator[StandInCloud]:
    """An empty Google project."""
    with StandInCloud() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def stack(
    cli: Path, cloud: StandInCloud, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Stack]:
    """Make a stack from its committed file, not yet deployed."""

    def made(name: str, *, checkpoints: bool = False) -> Stack:
        return Stack(name, tmp_path_factory.mktemp(name), cloud, cli, checkpoints=checkpoints)

    return made


def pytest_configure(config: pytest.Config) -> None:
    """The Google SDK warns of its own old names whenever it is imported."""
    config.addinivalue_line("filterwarnings", "ignore:gcp.*has been deprecated:DeprecationWarning")
