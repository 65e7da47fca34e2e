"""What Kubernetes lets training Jobs do, and the people who start them."""

import itertools

import pytest
from kubernetes import client

from .stack import PERSON, Stack

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*")

RESOURCES = {
    "": (
        ("pods", "pods/log", "pods/exec", "pods/attach", "pods/portforward")
        + ("pods/ephemeralcontainers", "pods/eviction", "pods/proxy")
        + ("services", "services/proxy", "endpoints", "events", "configmaps", "secrets")
        + ("serviceaccounts", "serviceaccounts/token", "persistentvolumeclaims")
        + ("namespaces", "nodes", "nodes/proxy", "persistentvolumes")
    ),
    "apps": ("deployments", "deployments/scale", "statefulsets", "statefulsets/scale"),
    "batch": ("jobs", "jobs/status", "cronjobs"),
    "networking.k8s.io": ("networkpolicies",),
    "policy": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io": ("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
    "*": ("*",),
}

READ = ("get", "list", "watch")

SUBMITTING = {
    "jobs": (*READ, "create", "delete"),
    "jobs/status": ("get",),  # how MLflow's own backend follows a Job
    "pods": READ,
    "pods/log": ("get",),
    "events": READ,
}
"""In the namespace of training."""

TUNNEL = {"services": READ, "pods": READ, "pods/portforward": ("get", "create")}
"""In the server's."""


def rights(api: client.ApiClient, who: dict, namespace: str | None) -> dict[str, tuple[str, ...]]:
    """What somebody may do in a namespace, or in the whole cluster."""
    reviews = client.AuthorizationV1Api(api)
    found: dict[str, tuple[str, ...]] = {}
    asked = [(group, each) for group, names in RESOURCES.items() for each in names]
    for (group, resource), verb in itertools.product(asked, VERBS):
        name, _, part = resource.partition("/")
        attributes = client.V1ResourceAttributes(
            group=group, resource=name, subresource=part, verb=verb, namespace=namespace
        )
        spec = client.V1SubjectAccessReviewSpec(resource_attributes=attributes, **who)
        answer = reviews.create_subject_access_review(client.V1SubjectAccessReview(spec=spec))
        if answer.status.allowed:
            found[resource] = (*found.get(resource, ()), verb)
    return found


@pytest.fixture(scope="module")
def person() -> dict:
    return {"user": PERSON, "groups": ["system:authenticated"]}


@pytest.fixture(scope="module")
def job(stack: Stack) -> dict:
    """Whom Kubernetes sees if a training Job talks to it."""
    account, groups = f"system:serviceaccount:{stack.training}", "system:serviceaccounts"
    name = stack.outputs()["trainingServiceAccount"]
    return {
        "user": f"{account}:{name}",
        "groups": [groups, f"{groups}:{stack.training}", "system:authenticated"],
    }


@pytest.mark.parametrize("place", ["serving", "training", None, "kube-system"])
def test_a_training_job_may_do_nothing_in_the_cluster(stack, api, job, place):
    assert rights(api, job, getattr(stack, str(place), place)) == {}


@pytest.mark.parametrize(
    ("place", "needed"),
    [("training", SUBMITTING), ("serving", TUNNEL), (None, {}), ("kube-system", {})],
)
def test_a_person_may_submit_jobs_and_open_the_tunnel_and_no_more(
    stack, api, person, place, needed
):
    found = rights(api, person, getattr(stack, str(place), place))

    assert {what: set(verbs) for what, verbs in found.items()} == {
        what: set(verbs) for what, verbs in needed.items()
    }


def test_a_pod_of_a_training_job_has_no_token(stack):
    (account,) = [
        each
        for each in stack.objects("serviceaccounts", stack.training)
        if each["metadata"]["name"] == stack.outputs()["trainingServiceAccount"]
    ]

    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    "command",
    [
        ("get", "secrets"),
        ("exec", "service/mlflow-tracking", "--", "env"),
        ("logs", "service/mlflow-tracking"),
        ("delete", "pods", "--all"),
        ("create", "token", "tracking"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_person_is_refused_what_is_the_servers(stack, command):
    with pytest.raises(AssertionError, match="(?i)forbidden"):
        stack.kubectl(f"--as={PERSON}", *command)
