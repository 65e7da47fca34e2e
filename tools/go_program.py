"""Programs that a Go module of ours pins and that are built once for all checkouts of a user."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools import logged, progress
from tools.project import cache
from tools.pulumi_cli import appearing


class NoGoProgram(Exception):
    """It is not in the cache and could not be built; the message says why and what to do."""


@dataclass(frozen=True)
class GoProgram:
    """A program of a module that `go.mod` names as a tool."""

    name: str
    package: str
    module: Path
    """The folder of `go.mod`."""
    expect: str
    """How long the build takes, for who waits."""

    @property
    def root(self) -> Path:
        """Where the build goes; another pin or another processor is another folder."""
        digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
        for file in sorted(self.module.glob("go.*")):
            digest.update(file.read_bytes())
        return cache() / f"{self.name}-{digest.hexdigest()[:12]}"

    def find(self) -> Path:
        """The program, built now if it never was."""
        binary = self.root / self.name
        if not binary.exists():
            self._build()
        return binary

    def _build(self) -> None:
        go = shutil.which("go")
        if go is None:
            raise NoGoProgram(
                f"{self.name} is built with Go, and there is no `go` on PATH. Install it"
                " (https://go.dev/dl) and type the same command again."
            )
        expect = f"building it with Go, {self.expect}, once"
        with progress.step(self.name, expect=expect) as done, appearing(self.root) as fresh:
            command = [go, "build", "-trimpath", "-ldflags", "-s -w"]
            env = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
            try:
                logged.run(
                    f"go-build-{self.name}",
                    [*command, "-o", str(fresh / self.name), self.package],
                    env=env,
                    cwd=self.module,
                )
            except logged.CommandFailed as failure:
                raise NoGoProgram(f"building {self.name} failed. {failure}") from failure
            done(f"kept in {self.root}")
