"""What docs/kubernetes.md lets people paste is what the program and Kubernetes accept."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import kubernetes_schemas
from tests.unit.test_config import load  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/kubernetes.md").read_text()

STACKS = re.findall(r"^config:\n(?:  .+\n)+", PAGE, re.M)
(JOB,) = re.findall(r"<<END\n(apiVersion: batch/v1\n.+?)^END$", PAGE, re.M | re.S)


@pytest.mark.parametrize("number", range(len(STACKS)))
def test_a_stack_file_on_the_page_loads(load, number: int):  # noqa: F811
    keys: dict[str, Any] = yaml.safe_load(STACKS[number])["config"]

    assert load(keys, stack="team").platform == "kubernetes"


def test_every_stack_file_on_the_page_was_found():
    assert len(STACKS) == PAGE.count("mlflow-platform:platform:") > 5


def test_the_job_on_the_page_is_one_for_a_restricted_namespace():
    job = yaml.safe_load(re.sub(r"\$\(output (\w+)\)", r"\1", JOB))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    kubernetes_schemas.validate(job)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_job_on_the_page_takes_what_a_stack_exports():
    from pydantic.alias_generators import to_camel

    from platforms.handoff import Handoff

    outputs = set(re.findall(r"\$\(output (\w+)\)", JOB))

    assert outputs <= {to_camel(name) for name in Handoff.__annotations__}


def test_every_link_of_the_page_leads_somewhere():
    heads = re.findall(r"^#+ (.+)$", PAGE, re.M)
    anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}

    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (ROOT / "docs" / target.partition("#")[0]).exists(), target
