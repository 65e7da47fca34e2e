"""Programs that a Go module of ours pins and that are built once for all checkouts of a user."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools import logged, progress
from tools.project import cache
from tools.pulumi_cli import GO, QUICKLY, appearing

TOOLS = re.compile(r"^tool (?:\((.*?)^\)|(\S+)$)", re.MULTILINE | re.DOTALL)


class NotBuilt(Exception):
    """They are not in the cache and could not be built; the message says why and what to do."""


class NoGo(NotBuilt):
    """There is nothing to build them with."""


@dataclass(frozen=True)
class GoModule:
    """A folder with a `go.mod` that names the programs as its tools."""

    name: str
    folder: Path
    title: str
    expect: str
    """How long the build takes, for who waits."""
    linked: str = ""
    """More for the linker."""
    apart: tuple[str, ...] = ()
    """Programs that cannot be built in one go with the others."""

    @property
    def packages(self) -> list[str]:
        """The programs."""
        return [
            name
            for match in TOOLS.findall((self.folder / "go.mod").read_text())
            for name in "".join(match).split()
        ]

    @property
    def root(self) -> Path:
        """Where the build goes; another pin, source or processor is another folder."""
        digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
        for file in sorted([*self.folder.glob("go.*"), *self.folder.rglob("*.go")]):
            digest.update(file.read_bytes())
        return cache() / f"{self.name}-{digest.hexdigest()[:12]}"

    def find(self) -> Path:
        """The folder of the programs, built now if they never were."""
        cache().mkdir(parents=True, exist_ok=True)
        with (cache() / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would take twice as long
            if not self.root.exists():
                self._build()
        return self.root

    def program(self) -> Path:
        """The one that the module is called like, built now if it never was."""
        return self.find() / self.name

    def _build(self) -> None:
        go = shutil.which("go")
        if go is None:
            raise NoGo(
                f"{self.title} is built with Go, and there is no `go` on PATH. Install it "
                "(https://go.dev/dl) and type the same command again."
            )
        install = [go, "install", *QUICKLY, f"-ldflags=-s -w {self.linked}"]
        expect = f"building it with Go, {self.expect}, once"
        with progress.step(self.title, expect=expect) as done, appearing(self.root) as fresh:
            env = os.environ | GO | {"GOBIN": str(fresh)}
            together = [package for package in self.packages if package not in self.apart]
            for batch in filter(None, (together, *([package] for package in self.apart))):
                try:
                    logged.run(f"go-build-{self.name}", [*install, *batch], env, self.folder)
                except logged.CommandFailed as failure:
                    raise NotBuilt(f"building {self.title} failed. {failure}") from failure
            done(f"kept in {self.root}")
