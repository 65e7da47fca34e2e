"""What Kubernetes lets training Jobs do, and the people who start them."""

import json

import pytest

from .stack import PERSON, Stack

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


RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


def rights(stack: Stack, who: str, namespace: str) -> dict[str, set[str]]:
    """Verbs by resource: what an account may do in a namespace, all that is granted in the whole
    cluster included, and somebody without any grant may not."""
    granted = rules(stack, who, namespace)
    everybody = rules(stack, "somebody", namespace)
    assert everybody, "an empty list proves nothing"
    found: dict[str, set[str]] = {}
    for resource, verb in granted - everybody:
        found.setdefault(resource, set()).add(verb)
    return found


def rules(stack: Stack, who: str, namespace: str) -> set[tuple[str, str]]:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    create = ("create", f"--raw={RULES}", "--filename=-", f"--as={who}")
    status = json.loads(stack.cluster.kubectl(*create, stdin=json.dumps(review)))["status"]
    assert not status["incomplete"]
    return {
        (resource, verb)
        for rule in status["resourceRules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture(scope="module")
def job(stack: Stack) -> str:
    """Whom Kubernetes sees if a training Job talks to it."""
    name = stack.outputs()["trainingServiceAccount"]
    return f"system:serviceaccount:{stack.training}:{name}"


@pytest.mark.parametrize("place", ["serving", "training", "kube-system"])
def test_a_training_job_may_do_nothing_in_the_cluster(stack, job, place):
    assert rights(stack, job, getattr(stack, place, place)) == {}


@pytest.mark.parametrize(
    ("place", "needed"), [("training", SUBMITTING), ("serving", TUNNEL), ("kube-system", {})]
)
def test_a_person_may_submit_jobs_and_open_the_tunnel_and_no_more(stack, place, needed):
    found = rights(stack, PERSON, getattr(stack, place, place))

    assert found == {what: set(verbs) for what, verbs in needed.items()}


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
