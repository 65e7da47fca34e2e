"""Why a Job is not running, read from objects as clusters have shown them."""

import re

import pytest

from mlflow_platform_client import reasons
from mlflow_platform_client.reasons import View

IMAGE = "gcr.io/notfound/training@sha256:0a1b"
"""Its name says nothing of what happened to it."""
SPEC = {
    "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"},
    "containers": [
        {
            "name": "training",
            "image": IMAGE,
            "resources": {
                "requests": {"cpu": "2", "memory": "8Gi"},
                "limits": {"memory": "8Gi", "nvidia.com/gpu": "1"},
            },
        }
    ],
}
JOB = {"metadata": {"name": "flights-1"}, "status": {}}


def event(reason, message):
    return {"reason": reason, "message": message, "type": "Warning"}


def pod(state=None, *, node="node-1", **status):
    statuses = [{"name": "training", "state": state}] if state else []
    scheduled = {"type": "PodScheduled", "status": "True"}
    status = {"phase": "Pending", "conditions": [scheduled], "containerStatuses": statuses} | status
    return {"metadata": {"name": "flights-1-x", "uid": "1"}, "spec": SPEC | {"nodeName": node}} | {
        "status": status
    }


def unplaced(message):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return pod(conditions=[condition | {"message": message}])


NO_GPU = unplaced(
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to deallocate, "
    "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
)
FULL = unplaced(
    "0/5 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: present}, 2 "
    "Insufficient cpu, 2 Insufficient memory. preemption: 0/5 nodes are available: 1 Preemption is "
    "not helpful for scheduling, 4 No preemption victims found for incoming pod."
)
ELSEWHERE = unplaced(
    "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/2 "
    "nodes are available: 2 Preemption is not helpful for scheduling."
)
ADDING = event(
    "TriggeredScaleUp",
    "pod triggered scale-up: [{https://www.googleapis.com/compute/v1/projects/p/zones/z/"
    "instanceGroups/gke-mlflow-gpu-grp 0->1 (max: 4)}]",
)
NOT_ADDING = event(
    "NotTriggerScaleUp",
    "pod didn't trigger scale-up: 2 node(s) didn't match Pod's node affinity/selector, "
    "1 max node group size reached",
)
NO_QUOTA = event(
    "FailedScaleUp",
    "Node scale up in zones europe-west4-a associated with this pod failed: GCE quota exceeded. "
    "Pod is at risk of not being scheduled.",
)
SOLD_OUT = event(
    "FailedScaleUp",
    "Node scale up in zones europe-west4-a associated with this pod failed: GCE out of resources. "
    "Pod is at risk of not being scheduled.",
)


def waits(reason, message=""):
    return pod({"waiting": {"reason": reason, "message": message}})


NOT_FOUND = (
    f'Back-off pulling image "{IMAGE}": ErrImagePull: rpc error: code = NotFound desc = failed to '
    f'pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": {IMAGE}: not found'
)
DENIED = (
    f'failed to pull image "{IMAGE}": failed to authorize: failed to fetch oauth token: unexpected '
    "status from GET request to https://gcr.io/v2/token: 403 Forbidden"
)
NO_ANSWER = (
    f'failed to pull image "{IMAGE}": failed to do request: Head "https://nowhere/v2/": dial tcp: '
    "lookup nowhere on 10.96.0.10:53: no such host"
)
QUOTA = event(
    "FailedCreate",
    'Error creating: pods "flights-1-x" is forbidden: exceeded quota: team-a, requested: '
    "requests.cpu=2,requests.memory=8Gi, used: requests.cpu=7,requests.memory=24Gi, limited: "
    "requests.cpu=8,requests.memory=32Gi",
)


def ended(reason="PodFailurePolicy", message="a container failed"):
    condition = {"type": "Failed", "status": "True", "reason": reason, "message": message}
    return JOB | {"status": {"conditions": [condition]}}


def terminated(**state):
    return pod({"terminated": state}, phase="Failed")


def disrupted(by, **status):
    condition = {"type": "DisruptionTarget", "status": "True", "reason": by, "message": "m"}
    return pod({"terminated": {"exitCode": 143}}, conditions=[condition], phase="Failed", **status)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (View(JOB), "Kubernetes is making its pod"),
        (View(JOB, [pod({"terminated": {"exitCode": 0}})]), "its program has ended"),
        (
            View(JOB, [disrupted("DeletionByPodGC")], [QUOTA]),
            "quota team-a is used up",  # its first pod was taken away, and no second is made
        ),
        (View(JOB, [disrupted("DeletionByPodGC"), NO_GPU]), "no node has 1 GPU free"),
        (
            View(
                JOB, [], [event("FailedCreate", 'pods "x" is forbidden: violates PodSecurity "a"')]
            ),
            'takes hardened pods only: PodSecurity "a"',
        ),
        (View(JOB, [], [QUOTA, event("FailedCreate", "it is closed")]), "makes no pod .*is closed"),
        (View(JOB, [], [QUOTA]), "quota team-a is used up: .*cpu=2,.*cpu=7,.*cpu=8,.*Ask for less"),
        (
            View(
                JOB,
                [],
                [
                    event(
                        "FailedCreate",
                        'Error creating: pods "x" is forbidden: failed quota: team-a: must specify '
                        "limits.cpu for: training",
                    )
                ],
            ),
            "wants every Job to say limits.cpu for: training. Add it under resources",
        ),
        (
            View(
                JOB,
                [],
                [
                    event(
                        "FailedCreate",
                        'Error creating: pods "flights-1-" is forbidden: error looking up service '
                        'account mlflow/training: serviceaccount "training" not found',
                    )
                ],
            ),
            "no service account training in the namespace. Type: mlflow-platform connect",
        ),
        (View(JOB, [NO_GPU]), r'no node has 1 GPU free\. Wait, .*do without \("gpus": 0\), or ask'),
        (View(JOB, [NO_GPU], [ADDING]), "the cluster is adding a node for it, which takes some"),
        (
            View(JOB, [NO_GPU], [ADDING, NOT_ADDING]),
            r"no node has 1 GPU free, and the cluster may not add one \(.*max node group size",
        ),
        (View(JOB, [NO_GPU], [ADDING, NO_QUOTA]), "Google Cloud gives .*its quota is used up"),
        (View(JOB, [NO_GPU], [ADDING, SOLD_OUT]), "Google Cloud gives .*none is left just now"),
        (
            View(JOB, [FULL]),
            "no node has 2 cpu free and 8Gi memory free and no taint like nvidia.com/gpu. Wait, in "
            "the backend config ask for less under resources and add it to tolerations, or ask",
        ),
        (
            View(JOB, [ELSEWHERE]),
            "no node has the label cloud.google.com/gke-accelerator=nvidia-tesla-t4.*node-selector",
        ),
        (View(JOB, [pod(conditions=[])]), "its container is being made on node-1"),
        (
            View(JOB, [waits("ContainerCreating")], [event("Pulling", f'Pulling image "{IMAGE}"')]),
            "its image is being pulled",
        ),
        (
            View(
                JOB,
                [waits("ContainerCreating")],
                [event("Pulling", "Pulling image"), event("Pulled", "Successfully pulled image")],
            ),
            "its container is being made on node-1",
        ),
        (View(JOB, [waits("ImagePullBackOff", NOT_FOUND)]), f"image {IMAGE} does not exist"),
        (View(JOB, [waits("ErrImagePull", DENIED)]), "may not pull image .*ask for a pull secret"),
        (
            View(JOB, [waits("ErrImagePull", f'failed to pull image "{IMAGE}": 403 Forbidden')]),
            "may not pull image",
        ),
        (View(JOB, [waits("ErrImagePull", NO_ANSWER)]), "registry of image .* does not answer"),
        (View(JOB, [waits("InvalidImageName", "x")]), "is no name of an image. Correct image"),
        (View(JOB, [waits("ErrImageNeverPull", "x")]), "is not on the node. Type: pulumi up"),
        (
            View(JOB, [waits("CreateContainerConfigError", 'secret "login" not found')]),
            "there is no Secret login in the namespace. Correct secrets in the backend config",
        ),
        (
            View(JOB, [waits("CreateContainerConfigError", 'configmap "c" not found')]),
            "there is no Configmap c",
        ),
        (
            View(
                JOB,
                [
                    waits(
                        "CreateContainerConfigError",
                        "container has runAsNonRoot and image will run as root (pod: x)",
                    )
                ],
            ),
            "wants to run as root, which the namespace forbids",
        ),
    ],
)
def test_what_it_waits_for_is_one_sentence_with_the_cure(view, words):
    said = reasons.waiting(view)

    assert re.search(words, said), said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (
            View(ended(), [terminated(exitCode=2, reason="Error")]),
            "ended with exit code 2; the log",
        ),
        (
            View(ended(), [terminated(exitCode=137, reason="OOMKilled")]),
            "more memory than its limit of 8Gi. Raise resources.limits.memory",
        ),
        (
            View(
                ended(),
                [
                    terminated(
                        exitCode=128,
                        reason="StartError",
                        message="failed to create containerd task: runc create failed: unable to "
                        'start container process: exec: "python": executable file not found in '
                        "$PATH",
                    )
                ],
            ),
            "its image has no python. Take an image with Python",
        ),
        (View(ended("DeadlineExceeded"), [NO_GPU]), "deadline-seconds.*It never ran: no node has"),
        (View(ended("DeadlineExceeded"), [terminated(exitCode=143)]), "deadline-seconds.*config.$"),
        (View(ended("BackoffLimitExceeded", "too often")), "too often"),
        (View(ended(), [disrupted("DeletionByPodGC")]), "its node is gone, as Spot machines"),
    ],
)
def test_why_it_failed_is_one_sentence(view, words):
    said = reasons.failed(view)

    assert re.search(words, said), said


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (disrupted("PreemptionByScheduler"), "pre-empted: a pod of higher priority"),
        (disrupted("DeletionByTaintManager"), "its node stopped answering"),
        (disrupted("DeletionByPodGC"), "its node is gone, as Spot machines"),
        (disrupted("EvictionByEvictionAPI"), "its node is being emptied"),
        (
            disrupted(
                "TerminationByKubelet",
                reason="Evicted",
                message="The node was low on resource: memory. Threshold quantity: 100Mi, "
                "available: 50Mi. Container training was using 9Gi, request is 8Gi",
            ),
            "evicted: its node ran low on memory. .*resources.requests.memory",
        ),
        (
            pod({"terminated": {"exitCode": 137}}, reason="Evicted", message="its disk is full"),
            "evicted: its disk is full",
        ),
        (
            disrupted(
                "TerminationByKubelet",
                reason="Terminated",
                message="Pod was terminated in response to imminent node shutdown.",
            ),
            "pre-empted: its machine was shut down, as Spot machines",
        ),
    ],
)
def test_a_pod_that_was_taken_away_says_by_whom(lost, words):
    said = reasons.lost(lost)

    assert said is not None
    assert re.search(words, said), said


def test_a_pod_that_failed_by_itself_was_not_taken_away():
    spared = {"type": "DisruptionTarget", "status": "False"}

    assert reasons.lost(terminated(exitCode=1, reason="Error")) is None
    assert reasons.lost(pod({"terminated": {"exitCode": 1}}, conditions=[spared])) is None


@pytest.mark.parametrize(
    ("job", "end"),
    [
        (None, "Deleted"),
        (JOB | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "Deleted"),
        (JOB, None),
        (ended(), "Failed"),
        (JOB | {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}, "Complete"),
        (JOB | {"status": {"conditions": [{"type": "Failed", "status": "False"}]}}, None),
        (JOB | {"status": {"conditions": [{"type": "FailureTarget", "status": "True"}]}}, None),
    ],
)
def test_how_a_job_has_ended(job, end):
    assert View(job).ended == end
