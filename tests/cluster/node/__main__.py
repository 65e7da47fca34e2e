"""`make cluster` and `make cluster-down`: a Kubernetes on this machine that stays.

`make test` calls it with `build`, before its tests share the machine with each other.
"""

import os
import sys
from contextlib import suppress

from tests.cluster import requirements
from tests.cluster.cluster import GIVEN
from tests.cluster.enclosure import NotStarted
from tests.cluster.node import binaries
from tests.cluster.node.node import Node
from tools.go_module import NotBuilt

NAME = "cluster"
USAGE = "type: make cluster, or make cluster-down"


def up(name: str = NAME) -> None:
    """Start it, or find it running, and say how to use it."""
    node = Node(name)
    if node.running:
        print("A Kubernetes node of this checkout is running.")
    else:
        requirements.check(requirements.NODE)
        with node.started() as let_go:
            let_go()
    kubectl = node.layout.binary("kubectl")
    print(f"\n`make cluster-down` ends it. To use it with kubectl ({kubectl}), type:\n")
    print(f"export KUBECONFIG={node.layout.admin}")


def down(name: str = NAME) -> None:
    """End it, with all that ran on it."""
    node = Node(name)
    if node.enclosure.running:
        node.enclosure.close()
        print("The node is gone, and all that was on it.")
    else:
        print("There is no Kubernetes node of this checkout.")


def build() -> None:
    """Have the programs of a node, where tests will start one; elsewhere they say why not."""
    if GIVEN in os.environ:
        return
    with suppress(requirements.CannotRun):
        requirements.check(requirements.NODE)
        binaries.find()


if __name__ == "__main__":
    try:
        {"up": up, "down": down, "build": build}[sys.argv[1]](*sys.argv[2:])
    except (requirements.CannotRun, NotBuilt, NotStarted) as problem:
        sys.exit(f"error: {problem}")
    except (IndexError, KeyError):
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(130)
