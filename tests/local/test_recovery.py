"""Processes are killed, and nothing is lost."""

import psutil

from components.local.record import is_alive

from .eventually import eventually


def left(processes):
    """Those that are still there; a pid alone may be another process's by now."""
    return [process for process in processes if process.is_running() and is_alive(process.pid)]


def kill(stack, *services):
    processes = [psutil.Process(stack.pid(service)) for service in services]
    for process in processes:
        process.kill()
    eventually(lambda: not left(processes))


def test_refresh_says_what_is_gone_and_up_restores_it_under_a_server_that_goes_on(stack, run):
    server = stack.pid("server")
    kill(stack, "postgres", "objects")

    stack.refresh()
    assert stack.resources() == ["Server"]

    stack.up()
    assert stack.resources() == ["ObjectStore", "Postgres", "Server"]
    assert stack.pid("server") == server
    run.assert_whole(stack.uri)


def test_up_alone_notices_a_dead_server_and_replaces_what_it_left_behind(stack, run):
    before = stack.pids()
    workers = psutil.Process(before["server"]).children(recursive=True)
    kill(stack, "server")
    assert left(workers)

    assert "Server mlflow update" in stack.preview()
    stack.up()

    after = stack.pids()
    assert {name for name in after if after[name] != before[name]} == {"server"}
    assert not left(workers)
    run.assert_whole(stack.uri)
