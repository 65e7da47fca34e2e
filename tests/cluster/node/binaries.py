"""The programs of a node that are built from source, as our Go module pins them."""

import re
from pathlib import Path

from tools.go_module import GoModule

FOLDER = Path(__file__).parent
KUBERNETES = re.compile(r"k8s.io/kubernetes (v[\d.]+)")


def _version() -> str:
    found = KUBERNETES.search((FOLDER / "go.mod").read_text())
    return f"-X k8s.io/component-base/version.gitVersion={found[1] if found else ''}"


NODE = GoModule(
    name="kubernetes",
    folder=FOLDER,
    title="Kubernetes",
    expect="about ten minutes on two cores",
    linked=_version(),
    # It imports a module by a name that differs from another's in capitals only.
    apart=("github.com/rancher/local-path-provisioner",),
)


def find() -> Path:
    """The folder of the programs."""
    return NODE.find()
