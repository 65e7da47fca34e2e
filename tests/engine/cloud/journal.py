"""Every request that reached the cloud, in order."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Entry:
    """One operation; `started` and `ended` are places in the order of all events."""

    action: str
    urn: str
    started: int
    ended: int | None = None
    failed: str | None = None
    needed: set[str] = field(default_factory=set)

    @property
    def token(self) -> str:
        """The resource type, without those of its parents."""
        return self.urn.split("::")[2].rsplit("$", 1)[-1]

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.rsplit("::", 1)[-1]


class Journal:
    """Kept across invocations of the CLI."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    @contextmanager
    def record(self, action: str, urn: str) -> Iterator[Entry]:
        """Write down the start and the end, and the refusal if there was one."""
        with self._lock:
            entry = Entry(action, urn, next(self._order))
            self.entries.append(entry)
        try:
            yield entry
        except Exception as refusal:
            entry.failed = str(refusal)
            raise
        finally:
            with self._lock:
                entry.ended = next(self._order)

    def since(self, mark: int) -> list[Entry]:
        """List the operations after the first `mark` ones."""
        return self.entries[mark:]

    def done(self, action: str, mark: int = 0) -> list[Entry]:
        """List the operations of one kind that succeeded."""
        return [e for e in self.since(mark) if e.action == action and e.failed is None]
