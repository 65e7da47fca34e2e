"""How the cloud says no."""

from collections.abc import Sequence

from .wire import Inputs


class RefusedError(Exception):
    """The cloud does not do it, and nothing changed."""


class NotReadyError(Exception):
    """The object exists, but did not become ready; the engine keeps it in the state."""

    def __init__(self, id: str, outputs: Inputs, reasons: Sequence[str]):
        super().__init__("; ".join(reasons))
        self.id, self.outputs, self.reasons = id, outputs, reasons


def google(code: int, message: str) -> RefusedError:
    """Word a refusal as Google's API does."""
    return RefusedError(f"googleapi: Error {code}: {message}")
