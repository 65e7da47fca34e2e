"""A training Job as `training/k8s_job_template.yaml` has it, on a cluster without GPUs."""

import secrets
from typing import Any

import yaml

from tests.cluster.cluster import Cluster
from tests.local.eventually import eventually
from tools.project import ROOT

from .stack import PERSON, Stack

RESOURCES = {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
"""A graphics card, and the memory that goes with it, are what the machines of the tests lack."""


def run(stack: Stack, command: str, **variables: str) -> str:
    """Have a shell of the training image run a command as a Job; returns what it printed.

    Who submits it is somebody in `access.people`, and may do no more than those may.
    """
    outputs = stack.outputs()
    job = yaml.safe_load((ROOT / "training" / "k8s_job_template.yaml").read_text())
    name = f"flights-{secrets.token_hex(4)}"
    job["metadata"] |= {"name": name, "namespace": outputs["namespace"]}
    pod = job["spec"]["template"]["spec"]
    del pod["nodeSelector"], pod["tolerations"]
    pod["serviceAccountName"] = outputs["trainingServiceAccount"]
    (container,) = pod["containers"]
    told = {"MLFLOW_TRACKING_URI": outputs["trackingUriInCluster"], **variables}
    container |= {
        "name": name,
        "image": outputs["trainingImage"],
        "command": ["sh", "-euc", command],
        "env": [*container["env"], *({"name": k, "value": v} for k, v in told.items())],
        "resources": RESOURCES,
    }
    return submit(stack.cluster, job)


def submit(cluster: Cluster, job: dict[str, Any]) -> str:
    """Create a Job, wait for its end and return its log; a failed one is an error."""
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]

    def person(*arguments: str, stdin: str = "") -> str:
        whole = (f"--as={PERSON}", f"--namespace={namespace}", *arguments)
        return cluster.kubectl(*whole, stdin=stdin)

    def ended() -> bool:
        path = "jsonpath={.status.succeeded},{.status.conditions[?(@.type=='Failed')].message}"
        nonlocal said
        said = person("get", "job", name, f"--output={path}")
        return said != ","

    said = ""
    person("create", "--filename=-", stdin=yaml.safe_dump(job))
    eventually(ended, seconds=300)
    log = person("logs", f"job/{name}")
    assert said.startswith("1,"), f"{said}\n{log}"
    return log
