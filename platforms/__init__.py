"""One module per platform; each is imported only when a stack chooses it."""

import importlib
from typing import Any, Protocol, cast

from .handoff import Handoff

PLATFORMS = ("local", "kubernetes", "gke")


class Platform(Protocol):
    """What every platform module offers."""

    Stack: type[Any]
    """The typed stack document, as `config.load` validates it."""

    def deploy(self, stack: Any) -> Handoff:
        """Declare every resource of the stack and return what it exports."""


def choose(name: str) -> Platform:
    """Import the platform's module, and with it only the provider SDKs that it needs."""
    return cast(Platform, importlib.import_module(f"{__name__}.{name}"))
