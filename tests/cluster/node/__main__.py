"""`make cluster` and `make cluster-down`: a Kubernetes on this machine that stays."""

import sys

from tests.cluster import requirements
from tests.cluster.enclosure import NotStarted
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


if __name__ == "__main__":
    try:
        {"up": up, "down": down}[sys.argv[1]](*sys.argv[2:])
    except (requirements.CannotRun, NotBuilt, NotStarted) as problem:
        sys.exit(f"error: {problem}")
    except (IndexError, KeyError):
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(130)
