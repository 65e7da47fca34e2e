"""The programs of a node that are built from source: each module of ours pins some of them."""

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
from tools.pulumi_cli import appearing

TOOL = re.compile(r"^\t(\S+)$", re.MULTILINE)
KUBERNETES = re.compile(r"k8s.io/kubernetes (v[\d.]+)")

PROVISIONER = "github.com/rancher/local-path-provisioner"
"""Built apart: it imports a module by a name that differs from another's in capitals only."""


class NoBinaries(Exception):
    """They are not in the cache and could not be built."""


@dataclass(frozen=True)
class Module:
    """A folder with a `go.mod` that names the programs as its tools."""

    name: str
    folder: Path
    title: str
    minutes: str
    """How long the build takes on two cores."""

    @property
    def text(self) -> str:
        """Its `go.mod`."""
        return (self.folder / "go.mod").read_text()

    @property
    def packages(self) -> list[str]:
        """The programs."""
        return TOOL.findall(self.text.partition("tool (")[2].partition(")")[0])

    @property
    def root(self) -> Path:
        """Where the build goes; another pin or another processor is another folder."""
        digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
        for file in sorted(self.folder.glob("go.*")):
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

    def _build(self) -> None:
        go = shutil.which("go")
        if go is None:
            raise NoBinaries(
                f"{self.title} is built with Go, and there is no `go` on PATH. Install it "
                "(https://go.dev/dl) and type the same command again."
            )
        version = KUBERNETES.search(self.text)
        flags = f"-s -w -X k8s.io/component-base/version.gitVersion={version[1] if version else ''}"
        install = [go, "install", "-trimpath", "-ldflags", flags]
        expect = f"building it with Go, about {self.minutes} minutes on two cores, once"
        with progress.step(self.title, expect=expect) as done, appearing(self.root) as fresh:
            env = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOBIN": str(fresh)}
            apart = [p for p in self.packages if p == PROVISIONER]
            for batch in filter(None, (apart, [p for p in self.packages if p not in apart])):
                try:
                    logged.run(f"go-build-{self.name}", [*install, *batch], env, self.folder)
                except logged.CommandFailed as failure:
                    raise NoBinaries(f"building it from source failed. {failure}") from failure
            done(f"kept in {self.root}")


NODE = Module("kubernetes", Path(__file__).parent, "Kubernetes", "ten")
POLICIES = Module("policies", Path(__file__).parent / "policies", "Network policies", "three")


def find() -> tuple[Path, ...]:
    """The folders of all programs."""
    return NODE.find(), POLICIES.find()
