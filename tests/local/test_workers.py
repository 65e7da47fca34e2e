"""The processes of a server."""

import psutil
import pytest
import requests

from server.spec import SIZES

from .eventually import eventually

pytestmark = pytest.mark.skipif(not psutil.LINUX, reason="workers are forks on Linux only")

WORKERS = SIZES["small"].workers


@pytest.fixture
def parent(stack) -> psutil.Process:
    return psutil.Process(stack.pid("server"))


def experiments(stack) -> int:
    search = f"{stack.uri}/api/2.0/mlflow/experiments/search"
    return requests.post(search, json={"max_results": 1}, timeout=60).status_code


def all_there(parent: psutil.Process) -> bool:
    return len(parent.children()) == WORKERS


def test_workers_share_what_their_parent_has_imported(stack, parent):
    assert all_there(parent)
    assert {tuple(each.cmdline()) for each in parent.children()} == {tuple(parent.cmdline())}
    assert parent.children(recursive=True) == parent.children()


def test_no_connection_to_the_database_is_the_parents(stack, parent):
    remote = [c.raddr.port for c in parent.net_connections() if c.raddr]

    assert stack.ports["database"] not in remote


def test_a_worker_that_dies_is_replaced(stack, parent):
    killed = parent.children()[0]
    killed.kill()

    eventually(lambda: killed not in parent.children() and all_there(parent))
    assert {experiments(stack) for _ in range(8)} == {200}
