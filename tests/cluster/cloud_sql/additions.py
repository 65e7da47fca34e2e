"""All that is added to a pod of the GKE platform so that it meets the stand-in instead of Google.

The pod that runs in the tests is the one that the program renders, and this.
"""

import copy
from typing import Any

from .instance import CloudSql

PROXY = "cloud-sql-proxy"


def arguments(cloud: CloudSql) -> list[str]:
    """For the proxy."""
    return [
        # The API that says where the instance is and who may connect. By default Google's.
        f"--sqladmin-api-endpoint={cloud.api.url}",
    ]


def variables(cloud: CloudSql, email: str) -> dict[str, str]:
    """For every container that is to be a Google account."""
    address = cloud.metadata(email)
    return {
        # GKE puts a metadata server at this name's default into every node with Workload Identity.
        "GCE_METADATA_HOST": address,
        # Google's library for Python looks whether anybody is there under this name.
        "GCE_METADATA_IP": address,
    }


def added(pod: dict[str, Any], cloud: CloudSql, email: str) -> dict[str, Any]:
    """The pod's spec with all of it; `email` is the account that its Kubernetes one stands for."""
    pod = copy.deepcopy(pod)
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        env = [{"name": k, "value": v} for k, v in variables(cloud, email).items()]
        container["env"] = [*container.get("env", []), *env]
        if container["name"] == PROXY:
            container["args"] = [*arguments(cloud), *container["args"]]
    return pod
