"""The database is lost at each point of each call, and comes back."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psutil
import psycopg2
import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy import event

from server.launch import TIMEOUTS
from server.store.postgres import PostgresStore

from .databases import ARTIFACTS

CALLS: dict[str, Callable[[PostgresStore, str], Any]] = {
    "log_metric": lambda store, run: store.log_metric(run, Metric("loss", 0.5, 1, 1)),
    "log_param": lambda store, run: store.log_param(run, Param("depth", "7")),
    "set_tag": lambda store, run: store.set_tag(run, RunTag("who", "ana")),
    "log_batch": lambda store, run: store.log_batch(
        run, [Metric("loss", 0.5, 1, 1)], [Param("depth", "7")], [RunTag("who", "ana")]
    ),
    "create_run": lambda store, _: store.create_run("0", "ana", 1, [RunTag("who", "ana")], "lost"),
    "get_run": lambda store, run: store.get_run(run),
    "search_runs": lambda store, _: store.search_runs(["0"], "", ViewType.ACTIVE_ONLY, 10),
    "search_experiments": lambda store, _: store.search_experiments(),
}


@pytest.fixture(scope="module")
def url(equal) -> str:
    return str(equal["lost"])


@pytest.fixture
def store(url, monkeypatch) -> Iterator[PostgresStore]:
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "1")
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", "1")
    PostgresStore._engine_map.clear()
    store = PostgresStore(url, ARTIFACTS)
    yield store
    store._dispose_engine()


@contextmanager
def lost(store: PostgresStore, url: str, when: str, number: int) -> Iterator[list[str]]:
    """The database ends the connection before or after a statement. Yields what was sent."""
    sent: list[str] = []

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    def end(connection: Any, *_: Any) -> None:
        if len(sent) == number:
            pid = connection.connection.dbapi_connection.info.backend_pid
            with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as other:
                other.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    listeners = [("before_cursor_execute", count), (f"{when}_cursor_execute", end)]
    for listener in listeners:
        event.listen(store.engine, *listener)
    try:
        yield sent
    finally:
        for listener in listeners:
            event.remove(store.engine, *listener)


def status(call: Callable[..., Any], *arguments: Any) -> int:
    """What the server would answer."""
    try:
        call(*arguments)
    except MlflowException as error:
        return int(error.get_http_status_code())
    return 200


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", CALLS)
def test_a_lost_connection_is_answered_with_try_again_and_the_next_call_works(
    url, store, name, when
):
    call = CALLS[name]
    run = store.create_run("0", "ana", 1, [], "kept").info.run_id
    for number in range(1, 20):
        with lost(store, url, when, number) as sent:
            answer = status(call, store, run)
        assert answer in (200, 503), "MLflow's client tries again after this, and after no 4xx"
        assert store.engine.pool.checkedout() == 0, "this place in the pool is lost for good"
        call(store, run)
        if len(sent) < number:
            break
    assert len(sent) < number, "every point was seen"
    if name in ("log_metric", "log_batch"):
        assert [each.value for each in store.get_metric_history(run, "loss")] == [0.5]


@contextmanager
def mute(url: str) -> Iterator[None]:
    """The kernel takes connections to the database, which never says anything."""
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
        postmaster = psutil.Process(connection.info.backend_pid).parent()
    assert postmaster
    postmaster.suspend()
    try:
        yield
    finally:
        postmaster.resume()


@pytest.mark.parametrize("name", CALLS)
def test_a_database_that_never_answers_is_answered_with_try_again(url, store, monkeypatch, name):
    monkeypatch.setitem(TIMEOUTS, "connect_timeout", 2)
    run = store.create_run("0", "ana", 1, [], "kept").info.run_id
    store.engine.dispose()

    with ThreadPoolExecutor() as threads, mute(url):
        assert threads.submit(status, CALLS[name], store, run).result(timeout=30) == 503

    assert status(CALLS[name], store, run) == 200


def test_a_connection_to_a_machine_that_has_vanished_is_given_up(store):
    with store.engine.connect() as connection:
        known = connection.connection.dbapi_connection.info.dsn_parameters

    assert known.items() >= {name: str(value) for name, value in TIMEOUTS.items()}.items()
