"""A whole Kubernetes on this machine, for as long as somebody wants it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.cluster.enclosure import Enclosure
from tests.cluster.node import binaries
from tests.cluster.node.layout import Layout
from tools import progress
from tools.project import PYTHON

START_SECONDS = 300
"""It takes about half a minute; this is for a machine that is busy with something else."""

END_SECONDS = 30
"""It takes one or two to leave its images to the next one."""


@dataclass(frozen=True)
class Node:
    """One node, known by the name of its enclosure."""

    name: str

    @classmethod
    def fresh(cls) -> "Node":
        """One of its own, whoever else has one."""
        return cls(Enclosure.fresh("node").folder.name)

    @property
    def enclosure(self) -> Enclosure:
        """What keeps it apart from this machine."""
        return Enclosure.named(self.name)

    @property
    def layout(self) -> Layout:
        """Where its things are."""
        link = self.enclosure.plan.link
        assert link is not None, "a node has a network of its own"
        return Layout(self.enclosure.folder, binaries.find(), link.host, link.node)

    @property
    def running(self) -> bool:
        """Whether it can be used."""
        return self.enclosure.running and self.enclosure.ready.exists()

    @contextmanager
    def started(self) -> Iterator[Callable[[], None]]:
        """Run it for as long as the context lasts, or until `close` if what this yields is called.

        However its owner ends, it does too, and nothing of it is left.
        """
        programs = binaries.find()
        folder = self.enclosure.folder
        module = [str(PYTHON), "-m", "tests.cluster.node.machine"]
        command = [*module, str(folder), str(programs)]
        with ExitStack() as stack:
            with progress.step("Kubernetes node", expect="about half a minute") as done:
                opening = self.enclosure.opened(
                    command, network=True, within=START_SECONDS, grace=END_SECONDS
                )
                let_go = stack.enter_context(opening)
                done(f"ready: {folder}")
            yield let_go
