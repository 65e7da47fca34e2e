"""The connection budget of `server/spec.py`, counted in Postgres."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
import requests
from mlflow import MlflowClient

from components.local.postgres_files import OWNER, RUNTIME
from server.spec import SIZES

CLIENTS = 24
ROUNDS = 4


@pytest.fixture
def owner(stack):
    """A connection that is not the server's."""
    url = f"postgresql://{OWNER}@127.0.0.1:{stack.ports['database']}/mlflow"
    (passwords,) = stack.data.glob(f"postgres/**/{OWNER}.pgpass")
    with closing(psycopg2.connect(url, passfile=str(passwords))) as connection:
        connection.autocommit = True
        yield connection


def count(owner):
    with owner.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [RUNTIME])
        return cursor.fetchone()[0]


def post(uri, path, body):
    return requests.post(f"{uri}/api/2.0/mlflow/{path}", json=body, timeout=120).status_code


def test_a_server_under_load_keeps_to_its_connections_and_refuses_nobody(stack, run, owner):
    """Twice as many clients at once as there are connections, on the tracking and the registry."""
    loaded = MlflowClient(stack.uri).create_run(run.experiment).info.run_id
    counted, done = [count(owner)], threading.Event()

    def watch():
        while not done.is_set():
            counted.append(count(owner))

    def work(client):
        for step in range(ROUNDS):
            metric = {"key": f"load-{client}", "value": 1, "timestamp": step}
            # The store holds two connections for some of these, one for others.
            yield post(stack.uri, "runs/create", {"experiment_id": run.experiment})
            yield post(stack.uri, "runs/log-metric", {"run_id": loaded, **metric})
            yield post(stack.uri, "runs/log-batch", {"run_id": loaded, "metrics": [metric]})
            yield post(stack.uri, "runs/search", {"experiment_ids": [run.experiment]})
            yield post(stack.uri, "registered-models/create", {"name": f"model-{client}-{step}"})

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = [
            answer
            for each in clients.map(lambda c: list(work(c)), range(CLIENTS))
            for answer in each
        ]
    done.set()
    watcher.join()

    size = SIZES["small"]
    assert set(answers) == {200}
    assert max(counted) <= size.connections
    assert max(counted) > size.workers * size.pool, "the load never reached the pools' limit"
