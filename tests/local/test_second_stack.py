"""A stack beside another, from its first mistakes to its end. Each test goes on from the last."""

import http.server
import os
import threading

import pytest
from mlflow import MlflowClient

from components.local.record import is_alive

from .conftest import LoggedRun
from .stack import Refusal

START = '("python", "-P", "-m", "server.launch"),'


@pytest.fixture(scope="module")
def second(new_stack):
    with new_stack("second") as stack:
        yield stack


@pytest.fixture
def squatter(second):
    """Somebody else who listens where the stack wants to."""
    address = ("127.0.0.1", second.ports["objects"])
    with http.server.HTTPServer(address, http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_busy_port_is_refused_in_a_preview_with_who_has_it_and_what_to_type(second, squatter):
    port = second.ports["objects"]
    with pytest.raises(Refusal) as refusal:
        second.preview()

    told = str(refusal.value)
    assert f"The object store cannot listen on 127.0.0.1:{port}: " in told
    assert f"(pid {os.getpid()}) does already" in told
    assert "mlflow-platform:ports: {objects: " in told
    assert not second.data.exists()


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (START.replace("python", "python4"), "bin/python4 is missing"),
        # It ends before it has imported MLflow, which takes seconds.
        (START.replace("server.launch", "server.lunch"), "No module named server.lunch"),
    ],
)
def test_a_server_that_cannot_start_leaves_its_last_words_and_nothing_else(second, broken, cause):
    second.edit("server/spec.py", START, broken)
    with pytest.raises(Refusal) as refusal:
        second.up()
    second.edit("server/spec.py", broken, START)

    assert cause in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert second.resources() == ["ObjectStore", "Postgres"]
    assert not [p for p in second.processes() if str(second.data / "server") in p.cwd()]


def test_once_repaired_it_comes_up_and_each_stack_has_its_own_runs(second, stack, run):
    second.up()

    client = MlflowClient(second.uri)
    assert [e.name for e in client.search_experiments()] == ["Default"]
    run.assert_whole(stack.uri)


@pytest.fixture(scope="module")
def kept(second):
    """A run of the second stack."""
    return LoggedRun.log(second.uri)


def test_after_destroy_nothing_runs_and_the_next_up_finds_every_run(second, kept):
    second.destroy()
    assert second.processes() == []
    assert second.resources() == []

    second.up()
    kept.assert_whole(second.uri)


def test_data_go_only_when_the_stack_says_so(second, kept):
    before = second.pids()
    second.settings["keepData"] = False
    second.up()
    assert second.pids() == before, "saying so restarts nothing"
    kept.assert_whole(second.uri)

    second.destroy()

    assert not any(map(is_alive, before.values()))
    assert not second.data.exists()
