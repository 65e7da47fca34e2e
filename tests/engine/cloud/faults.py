"""Failures on demand."""

from dataclasses import dataclass


@dataclass
class Fault:
    """Make one type fail, the n-th time that one is asked for."""

    token: str
    message: str
    on_attempt: int = 1
    leaves_it: bool = False
    """Whether the object exists afterwards, but never becomes ready."""
    attempts: int = 0

    def strikes(self, token: str) -> bool:
        """Count the attempt and say whether this one fails."""
        if token != self.token:
            return False
        self.attempts += 1
        return self.attempts == self.on_attempt
