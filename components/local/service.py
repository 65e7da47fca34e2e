"""What the three services have in common: how Pulumi creates, finds, changes and deletes one."""

import shutil
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from .loopback import HOST, is_free, listener
from .process import NotStarted, Process

Properties = Mapping[str, Any]
"""Inputs, or inputs and outputs. All of a service have `folder`, `port` and `keep`."""


class Service(ResourceProvider, ABC):
    """One process in one folder on one port.

    Pulumi pickles the provider into the state. An object without values is pickled as the name of
    its class, so the state holds no code, and a new version of this file serves old states.
    """

    serialize_as_secret_always = False

    title: ClassVar[str]
    port_key: ClassVar[str]
    """What a stack file calls the port, below `ports`."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def process(self, properties: Properties) -> Process:
        """The process that the properties describe."""
        return Process(self.title, Path(properties["folder"]))

    @abstractmethod
    def start(self, process: Process, inputs: Properties) -> dict[str, Any]:
        """Start the process, wait until it answers, and return the outputs."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a port that another process has, in previews too."""
        ours = self.process(news)
        held = olds.get("port") == news["port"] and ours.running
        taken = None if held else self._taken(ours, int(news["port"]))
        return CheckResult(news, [CheckFailure("port", taken)] if taken else [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """A dead process is a difference: a plain `up`, say after a reboot, starts it again."""
        changed = any(news[key] != olds.get(key) for key in news)
        return DiffResult(changes=changed or not self.process(news).running)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start it."""
        return CreateResult(props["folder"], {**props, **self._start(props)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Say on `refresh` whether it is still there."""
        return ReadResult(id_ if self.process(props).running else None, props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Start it again with its new inputs, unless they do not concern the process."""
        unconcerned = {**olds, **news, "keep": olds["keep"], "__provider": olds["__provider"]}
        if unconcerned == olds and self.process(news).running:
            return UpdateResult({**olds, **news})
        self.process(olds).stop(self.stop_signal)
        return UpdateResult({**news, **self._start(news)})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop it, and remove its folder if the stack says so."""
        self.process(props).stop(self.stop_signal)
        folder = Path(props["folder"])
        if not props["keep"] and folder.exists():
            shutil.rmtree(folder)
            with suppress(OSError):  # the last service to go leaves it empty
                folder.parent.rmdir()

    def _start(self, inputs: Properties) -> dict[str, Any]:
        ours = self.process(inputs)
        try:
            ours.stop(self.stop_signal)
            self._have_port(ours, inputs)
            ours.new_log()
            return self.start(ours, inputs)
        except NotStarted:
            # The message says everything, and the engine would print the traceback before it.
            sys.tracebacklimit = 0
            raise

    def _have_port(self, ours: Process, inputs: Properties) -> None:
        """Look again: a minute may have passed since the check."""
        if taken := self._taken(ours, int(inputs["port"])):
            raise NotStarted(taken)

    def _taken(self, ours: Process, port: int) -> str | None:
        """Why the port cannot be had, and what to do about it."""
        if is_free(port):
            return None
        holder = listener(port)
        if holder in ours.members():
            return None  # to be stopped before the start
        by = f"{holder.name()} (pid {holder.pid})" if holder else "another user's process"
        free = next(other for other in range(port + 10, 2**16) if is_free(other))
        return (
            f"{self.title} cannot listen on {HOST}:{port}: {by} does already.\n"
            "Stop that process, or give this stack another port in its Pulumi.<stack>.yaml:\n"
            f"  mlflow-platform:ports: {{{self.port_key}: {free}}}"
        )
