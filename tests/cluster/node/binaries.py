"""Kubernetes itself, its DNS server and its volumes, built from the modules that `go.mod` pins."""

import fcntl
import hashlib
import os
import platform
import re
import shutil
from pathlib import Path

from tools import logged, progress
from tools.project import cache
from tools.pulumi_cli import appearing

MODULE = Path(__file__).parent
TOOL = re.compile(r"^\t(\S+)$", re.MULTILINE)

PROVISIONER = "github.com/rancher/local-path-provisioner"
"""Built apart: it imports a module by a name that differs from another's in capitals only."""


class NoBinaries(Exception):
    """They are not in the cache and could not be built."""


def packages() -> list[str]:
    """What `go.mod` names as tools."""
    block = (MODULE / "go.mod").read_text().partition("tool (")[2].partition(")")[0]
    return TOOL.findall(block)


def root() -> Path:
    """Where the build goes; another pin or another processor is another folder."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for file in sorted(MODULE.glob("go.*")):
        digest.update(file.read_bytes())
    return cache() / f"kubernetes-{digest.hexdigest()[:12]}"


def find() -> Path:
    """The folder of the programs, built now if they never were."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "kubernetes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would take twice as long
        if not root().exists():
            _build()
    return root()


def _build() -> None:
    go = shutil.which("go")
    if go is None:
        raise NoBinaries(
            "Kubernetes is built with Go, and there is no `go` on PATH. Install it "
            "(https://go.dev/dl) and type the same command again."
        )
    version = re.search(r"k8s.io/kubernetes (v[\d.]+)", (MODULE / "go.mod").read_text())
    flags = f"-s -w -X k8s.io/component-base/version.gitVersion={version[1] if version else ''}"
    expect = "building it with Go, about ten minutes on two cores, once"
    with progress.step("Kubernetes", expect=expect) as done, appearing(root()) as fresh:
        env = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOBIN": str(fresh)}
        install = [go, "install", "-trimpath", "-ldflags", flags]
        for batch in ([p for p in packages() if p != PROVISIONER], [PROVISIONER]):
            try:
                logged.run("go-build-kubernetes", [*install, *batch], env=env, cwd=MODULE)
            except logged.CommandFailed as failure:
                raise NoBinaries(f"building it from source failed. {failure}") from failure
        done(f"kept in {root()}")
