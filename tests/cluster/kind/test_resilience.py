"""Two servers of the smallest size: what they may do, what they can take, and that nobody notices
when one of them goes, or their database for a moment."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from server.pod import SERVER, USER
from server.spec import SIZES
from tests.cluster.cluster import Cluster
from tests.local.eventually import eventually

from . import laboratory
from .laboratory import FIRST_ANSWERS
from .stack import Stack

FOLDER = Path(__file__).parent
ROLLOUT = ("rollout", "status", "deployment/mlflow-tracking", "--timeout=300s")
MIB = 2**20


def name(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["name"])


def inside(stack: Stack, pod: str, program: str) -> dict[str, Any]:
    """Run a program in the server's container, and return what it found."""
    found = stack.kubectl(
        *("exec", "--stdin", pod, f"--container={SERVER}", "--", "python", "-"),
        stdin=(FOLDER / program).read_text(),
    )
    return dict(json.loads(found))


@pytest.fixture
def servers(stack: Stack) -> list[str]:
    """Names of the two that serve."""
    stack.kubectl(*ROLLOUT)
    return [name(pod) for pod in stack.pods()]


def restarts(stack: Stack) -> dict[str, list[tuple[int, Any]]]:
    """How often each server was started again, and how it ended before."""
    return {
        name(pod): [
            (each["restartCount"], each.get("lastState"))
            for each in pod["status"]["containerStatuses"]
        ]
        for pod in stack.pods()
    }


# What they may do.


def test_the_servers_run_where_nothing_but_hardened_pods_may(stack, cluster: Cluster):
    run = ["--namespace", stack.serving, "run", "intruder", "--image=busybox", "--dry-run=server"]

    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        cluster.kubectl(*run)


def test_a_server_is_nobody_and_writes_nowhere_but_to_scratch(stack, servers):
    seen = inside(stack, servers[0], "confinement.py")

    assert seen["root is read-only"]
    assert [place for place in seen["writable"] if not place.startswith("/tmp")] == []  # noqa: S108
    assert seen["users"] == seen["groups"] == [str(USER)]
    assert [int(each, 16) for each in seen["capabilities"]] == [0]
    assert seen["gains privileges"] == [False]
    assert seen["system calls are filtered"] == [True]


# What they can take.


@pytest.mark.parametrize("what", ["mixed", "big"])
def test_the_smallest_size_holds(stack, servers, what):
    """Fourteen clients at once, who move 768 MiB of artifacts through servers of 1.25 GiB each; or
    one, with a model that is larger than that."""
    idle = {server: inside(stack, server, "footprint.py") for server in servers}

    with laboratory.opened(stack, what) as scientists:
        scientists.wait(seconds=300)
        faults = scientists.faults

    assert faults == []
    assert restarts(stack) == {server: [(0, {})] for server in servers}
    for server, before in idle.items():
        after = inside(stack, server, "footprint.py")
        assert after["limit"] == SIZES["small"].memory_mib * MIB
        assert after["killed for memory"] == 0
        # Uvicorn replaces a worker that dies, and no counter of Kubernetes shows it.
        assert after["processes"] == before["processes"]
        for kind in ("share", "working set", "current", "peak"):
            print(f"{server}: {kind} {before[kind] // MIB} MiB, {after[kind] // MIB} afterwards")


# That nobody notices when one of them goes, or their database for a moment.


def test_no_request_is_lost_when_a_server_is_deleted(stack, servers):
    with laboratory.opened(stack, "write") as scientists:
        scientists.see(FIRST_ANSWERS)
        stack.kubectl("delete", "pod", servers[0])  # until it is gone
        scientists.see(FIRST_ANSWERS)
        scientists.close()

        assert scientists.faults == []


def test_a_restart_of_the_database_costs_a_training_program_nothing_but_time(stack, servers):
    before = restarts(stack)
    (database,) = stack.pods("database")
    with laboratory.opened(stack, "train") as scientists:
        scientists.see(FIRST_ANSWERS)
        stack.kubectl("delete", "pod", name(database))  # until it is gone
        scientists.see(FIRST_ANSWERS)
        scientists.close()

        assert scientists.faults == []
    assert restarts(stack) == before


@contextmanager
def cordoned(stack: Stack, pod: str) -> Iterator[None]:
    """Let nothing start on a pod's node."""
    node = stack.kubectl("get", "pod", pod, "--output=jsonpath={.spec.nodeName}")
    stack.cluster.kubectl("cordon", node)
    try:
        yield
    finally:
        stack.cluster.kubectl("uncordon", node)


def test_a_node_drain_takes_one_server_and_waits_for_another(stack, api, servers):
    """As `kubectl drain` does it: by the eviction API, pod by pod."""
    core = client.CoreV1Api(api)

    def evict(pod: str, **options: str) -> int:
        """The status of the answer: 201, or 429 for "try again later"."""
        eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod))
        try:
            core.create_namespaced_pod_eviction(pod, stack.serving, eviction, **options)
        except ApiException as refusal:
            return int(refusal.status)
        return 201

    first, second = servers
    with laboratory.opened(stack, "write") as scientists:
        scientists.see(FIRST_ANSWERS)
        with cordoned(stack, first):
            assert evict(first) == 201
            assert evict(second) == 429, "both would be gone"
            stack.kubectl("wait", f"pod/{first}", "--for=delete", "--timeout=120s")
            assert evict(second) == 429, "the one that is to replace the first has nowhere to run"
            scientists.see(FIRST_ANSWERS)
        stack.kubectl(*ROLLOUT)
        eventually(lambda: evict(second, dry_run="All") == 201)
        scientists.close()

        assert scientists.faults == []
