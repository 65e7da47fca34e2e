"""A server with a login answers as MLflow's own does, to everybody.

The seed is printed with a failure. `LOGIN_CALLS=20000` makes a longer run of it, and
`LOGIN_SEED=...` another one.
"""

import json
import os
import random
import re
import socket
import subprocess
import sys
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
from mlflow.entities import LoggedModelOutput, Metric
from mlflow.server import auth, handlers
from mlflow.server.auth import sqlalchemy_store
from mlflow.server.constants import (
    ARTIFACTS_DESTINATION_ENV_VAR,
    BACKEND_STORE_URI_ENV_VAR,
    SERVE_ARTIFACTS_ENV_VAR,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

from server.auth.memory import Memory
from server.auth.ready import Ready
from server.auth.store import RememberingStore
from server.spec import ADMIN, SIZES, LoginSettings, ServerSpec
from tests.awaited import awaited
from tools.project import ROOT

from .databases import ARTIFACTS
from .login_app import HOST, quick_hash
from .migrations import PASSWORD
from .roles import RUNTIME

SEED = int(os.environ.get("LOGIN_SEED", "20261127"))
CALLS = int(os.environ.get("LOGIN_CALLS", "300"))

USERS: dict[str, list[tuple[str, str, str]]] = {
    ADMIN: [],
    "reader": [],
    "editor": [("experiment", "*", "EDIT"), ("registered_model", "*", "EDIT")],
    "owner": [("experiment", "1", "MANAGE"), ("registered_model", "forest", "MANAGE")],
    "outsider": [
        ("experiment", "1", "DENY"),
        ("run", "*", "DENY"),
        ("logged_model", "*", "DENY"),
        ("registered_model", "*", "DENY"),
    ],
}
"""Their rights, beside what everybody has."""

NOBODY = None
IMPOSTOR = ["editor", "wrong"]
LOGINS = [NOBODY, IMPOSTOR, *([name, PASSWORD] for name in USERS)]


@pytest.fixture(scope="module", autouse=True)
def _passwords_are_hashed_quickly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlalchemy_store, "generate_password_hash", quick_hash)
        yield


@pytest.fixture(scope="module")
def database(postgres, migrated) -> str:
    """With all that MLflow's login needs, as the migration leaves it, but for the slow hash."""
    name: str = postgres.create(template=migrated)
    postgres.execute(name, f"UPDATE users SET password_hash = '{quick_hash(PASSWORD)}'")  # noqa: S608
    return name


@pytest.fixture(scope="module")
def known(postgres, database) -> tuple[str, dict[str, str]]:
    """A database with users of all kinds, and what the things in it are called."""
    name = postgres.create(template=database)
    url = postgres.url(name, RUNTIME)
    auth.store.init_db(url)
    for user, grants in USERS.items():
        if user != ADMIN:
            auth.store.create_user(user, PASSWORD)
        for grant in grants:
            auth.store.grant_user_permission(user, *grant)
    auth.store.engine.dispose()

    tracking, registry = Tracking(url, ARTIFACTS), Registry(url)
    assert tracking.create_experiment("flights") == "1"
    run = tracking.create_run("1", "me", 1, [], "first").info.run_id
    tracking.log_metric(run, Metric("loss", 0.5, 1, 0))
    model = tracking.create_logged_model("1", "forest", run).model_id
    tracking.log_outputs(run, [LoggedModelOutput(model, 0)])
    registry.create_registered_model("forest")
    registry.create_model_version("forest", f"runs:/{run}/model", run)
    tracking._dispose_engine()
    registry.engine.dispose()
    return name, {"run": run, "model": model}


def environment(url: str, folder: Path, **changes: Any) -> dict[str, str]:
    """What a pod's server is told, and what `mlflow server` then tells its workers."""
    spec = ServerSpec(
        size=SIZES["small"],
        host=HOST,
        port=80,
        names=(HOST,),
        auth="basic",
        login=LoginSettings(**changes),
    )
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        **spec.environment(),
        **spec.stores(url, folder.as_uri()),
        **spec.login_secrets(PASSWORD, "a key"),
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true",
        BACKEND_STORE_URI_ENV_VAR: url,
        ARTIFACTS_DESTINATION_ENV_VAR: folder.as_uri(),
        SERVE_ARTIFACTS_ENV_VAR: "true",
    }


class App:
    """An app in a process of its own."""

    def __init__(self, lines: TextIO, kind: str, environment: dict[str, str]) -> None:
        self._lines = lines
        self.send([kind, environment])
        self.routes = self._read()

    def send(self, request: Any) -> None:
        print(json.dumps(request), file=self._lines, flush=True)

    def answer(self) -> dict[str, Any]:
        return plain(self._read())

    def ask(self, method: str, path: str, login: Any = NOBODY, **body: Any) -> dict[str, Any]:
        self.send({"method": method, "path": path, "login": login, "body": json.dumps(body)})
        return self.answer()

    def _read(self) -> Any:
        return json.loads(self._lines.readline())


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what is of the moment."""
    text = re.sub(r"\b1[5-9]\d{11}\b", "TIME", answer["body"])
    text = re.sub(r"pbkdf2:[\w:$]+", "HASH", text)
    text = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]*"', r"\1", text)
    return answer | {"body": text}


@pytest.fixture(scope="module")
def both(postgres, known, tmp_path_factory) -> Iterator[tuple[App, ...]]:
    """MLflow's own app and ours, with a database each, in the role that may only change rows."""
    told = {}
    for kind in ("stock", "tuned"):
        url = postgres.url(postgres.create(template=known[0]), RUNTIME)
        told[kind] = environment(url, tmp_path_factory.mktemp(kind))
    here, there = zip(*(socket.socketpair() for _ in told), strict=True)
    descriptors = [each.fileno() for each in there]
    program = [sys.executable, "-m", "tests.local.login_app", *map(str, descriptors)]
    with ExitStack() as stack:
        stack.enter_context(
            subprocess.Popen(program, cwd=ROOT, env=told["tuned"], pass_fds=descriptors)
        )
        for each in (*there, *here):
            stack.enter_context(each)
        lines = [stack.enter_context(each.makefile("rw")) for each in here]
        for each in there:
            each.close()  # so that the end of a process ends its lines
        yield tuple(App(*one) for one in zip(lines, told, told.values(), strict=True))


def values(known: dict[str, str]) -> dict[str, Any]:
    """What a request of any kind may ask for."""
    return {
        "artifact_path": "1/x",
        "experiment_id": "1",
        "experiment_ids": ["1"],
        "experiment_name": "flights",
        "filter": "",
        "is_admin": False,
        "key": "k",
        "max_results": 100,
        "metrics": [{"key": "k", "value": 1, "timestamp": 1, "model_id": known["model"]}],
        "model_id": known["model"],
        "name": "forest",
        "new_name": "wood",
        "password": "another long password",
        "path": "x",
        "permission": "READ",
        "resource_id": "1",
        "resource_pattern": "1",
        "resource_type": "experiment",
        "role_id": 1,
        "run_id": known["run"],
        "run_uuid": known["run"],
        "step": 1,
        "timestamp": 1,
        "user_id": "me",
        "username": "reader",
        "value": "1",
        "version": "1",
    }


def request(method: str, path: str, login: Any, given: dict[str, Any]) -> dict[str, Any]:
    """A request for a route, with all that it may ask for."""
    path = re.sub(r"[<{](?:\w+:)?(\w+)(?::\w+)?[>}]", lambda at: str(given.get(at[1], "1")), path)
    if method == "GET":
        asked = {k: v[0] if isinstance(v, list) else v for k, v in given.items() if k != "metrics"}
        path += "?" + "&".join(f"{name}={value}" for name, value in asked.items())
    return {"method": method, "path": path, "login": login, "body": json.dumps(given)}


def assert_same(both: tuple[App, App], asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answers = []
    for each in asked:
        for one in both:
            one.send(each)
        stock, tuned = (one.answer() for one in both)
        assert tuned == stock, each
        answers.append(stock)
    return answers


LEFT_OUT = ("assistant", "demo", "invoke", "promptlab", "supported-models")
"""What starts work, or asks another server."""


def order(route: list[str]) -> tuple[bool, list[str]]:
    """What destroys comes last, and what takes somebody's password away."""
    method, path = route
    return method == "DELETE" or "delete" in path or "update-password" in path, [path, method]


def test_every_route_answers_everybody_as_mlflows_own_does(both, known):
    stock, tuned = both
    given = values(known[1])
    routes = [each for each in stock.routes if not any(word in each[1] for word in LEFT_OUT)]

    assert tuned.routes == stock.routes
    turns = cycle(LOGINS[1:])
    askers: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [next(turns), next(turns)])
    asked = []
    for method, path in sorted(routes, key=order):
        # The pages have names of their own for what programs call: one of two users asks by each.
        for_pages = "/ajax-api/" in path
        users = askers[method, path.replace("/ajax-api/", "/api/")]
        logins = [users.pop()] if for_pages else [NOBODY, *users]
        asked += [request(method, path, login, given) for login in logins]
    answers = assert_same(both, asked)
    assert {answer["status"] for answer in answers} >= {200, 400, 401, 403, 404}


def test_whatever_somebody_asks_is_answered_as_by_mlflows_own(both, known):
    dice = random.Random(SEED)  # noqa: S311
    given = values(known[1])
    odd = {"experiment_id": ["0", "2", "99", "x"], "run_id": ["f" * 32, ""], "name": ["none", ""]}
    routes = [each for each in both[0].routes if not any(word in each[1] for word in LEFT_OUT)]
    asked = []
    for _ in range(CALLS):
        method, path = dice.choice(routes)
        changed = {k: dice.choice(v) for k, v in odd.items() if dice.random() < 0.2}
        left = {k: v for k, v in {**given, **changed}.items() if dice.random() < 0.95}
        asked.append(request(method, path, dice.choice(LOGINS), left))

    print(f"LOGIN_SEED={SEED}")
    assert_same(both, asked)


HEADERS = [
    "Basic",
    "Basic !!!",
    "Basic " + b64encode(b"reader").decode(),
    "Basic " + b64encode(b"reader:").decode(),
    "Basic " + b64encode(f":{PASSWORD}".encode()).decode(),
    "Basic " + b64encode(f"{ADMIN}:\xe4\ud7ff\0".encode()).decode(),
    "Bearer " + PASSWORD,
]


def test_a_header_that_names_nobody_is_answered_as_by_mlflows_own(both):
    for path in ("/api/2.0/mlflow/experiments/get?experiment_id=1", "/api/3.0/jobs/1"):
        asked = [{"method": "GET", "path": path, "login": header} for header in HEADERS]
        assert {answer["status"] for answer in assert_same(both, asked)} == {401}


def test_only_whether_it_is_ready_is_told_to_anybody(both):
    _, tuned = both

    assert tuned.ask("GET", "/ready") == {"status": 200, "type": None, "login": None, "body": ""}
    assert tuned.ask("GET", "/ready/")["status"] == 401


def probe(ready: Ready) -> int:
    """What a probe is answered."""
    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/ready", "method": "GET", "headers": []}
    awaited(ready(scope, None, send))
    return sent[0]["status"]


def test_a_server_whose_database_is_gone_is_not_ready(postgres, database):
    name = postgres.create(template=database)
    ready = Ready(SimpleNamespace(routes=[]), postgres.engine(name, RUNTIME))
    assert probe(ready) == 200

    postgres.execute(name, f'REVOKE SELECT ON users FROM "{RUNTIME}"')  # noqa: S608
    assert probe(ready) == 503
    postgres.execute(name, f'GRANT SELECT ON users TO "{RUNTIME}"')
    assert probe(ready) == 200
    postgres.execute("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    assert probe(ready) == 503


class Clock:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


SECONDS = 10


@pytest.fixture
def workers(postgres, known, monkeypatch) -> Iterator[tuple[RememberingStore, ...]]:
    """Two, who know what they know for ten seconds, and their clock."""
    url = postgres.url(postgres.create(template=known[0]), RUNTIME)
    tracking = Tracking(url, ARTIFACTS)
    monkeypatch.setattr(handlers, "_tracking_store", tracking)
    clock = Clock()
    stores = RememberingStore(Memory(SECONDS, clock)), RememberingStore(Memory(SECONDS, clock))
    for store in stores:
        store.init_db(url)
    yield *stores, clock
    tracking._dispose_engine()


NEW = "one that is new here"


def rights(store: RememberingStore, user: str) -> list[str]:
    """On experiments."""
    grants = store.list_grants(store.get_user(user).id, "default", {"experiment"})
    return [grant.permission for grant in grants]


def test_a_changed_password_counts_at_once_where_it_was_changed_and_soon_elsewhere(workers):
    here, there, clock = workers
    assert here.authenticate_user("reader", PASSWORD)
    assert there.authenticate_user("reader", PASSWORD)

    here.update_user("reader", password=NEW)

    assert not here.authenticate_user("reader", PASSWORD)
    assert here.authenticate_user("reader", NEW)
    clock.now = SECONDS - 1
    assert there.authenticate_user("reader", PASSWORD)
    clock.now = SECONDS
    assert not there.authenticate_user("reader", PASSWORD)


def test_a_new_password_is_never_refused(workers):
    here, there, _ = workers
    assert there.authenticate_user("reader", PASSWORD)

    here.update_user("reader", password=NEW)

    assert there.authenticate_user("reader", NEW)
    assert not there.authenticate_user("reader", PASSWORD)


def test_a_wrong_password_is_refused_after_a_right_one_too(workers):
    here, *_ = workers
    here.update_user("editor", password=NEW)

    for user, right, wrong in (("reader", PASSWORD, NEW), ("editor", NEW, PASSWORD)) * 2:
        assert here.authenticate_user(user, right)
        assert not here.authenticate_user(user, wrong)


def test_who_is_deleted_is_refused_at_once_here_and_soon_elsewhere(workers):
    here, there, clock = workers
    assert here.authenticate_user("owner", PASSWORD)
    assert there.authenticate_user("owner", PASSWORD)

    here.delete_user("owner")

    assert not here.authenticate_user("owner", PASSWORD)
    clock.now = SECONDS
    assert not there.authenticate_user("owner", PASSWORD)


def test_who_has_the_name_of_somebody_who_left_has_none_of_their_rights(workers):
    here, there, _ = workers
    assert there.authenticate_user("owner", PASSWORD)
    assert rights(here, "owner") == rights(there, "owner") == ["MANAGE"]

    here.delete_user("owner")
    here.create_user("owner", NEW)

    for store in here, there:
        assert store.authenticate_user("owner", NEW)
        assert rights(store, "owner") == []


def test_a_right_that_is_withdrawn_is_gone_at_once_here_and_soon_elsewhere(workers):
    here, there, clock = workers
    assert rights(here, "owner") == rights(there, "owner") == ["MANAGE"]

    here.revoke_user_resource_permission("owner", "experiment", "1")

    assert rights(here, "owner") == []
    clock.now = SECONDS - 1
    assert rights(there, "owner") == ["MANAGE"]
    clock.now = SECONDS
    assert rights(there, "owner") == []


def test_without_seconds_what_is_withdrawn_is_gone_at_once_everywhere(workers):
    here, *_ = workers
    there = RememberingStore(Memory(0))
    there.init_db(here.db_uri)
    assert there.authenticate_user("owner", PASSWORD)
    assert rights(there, "owner") == ["MANAGE"]

    here.revoke_user_resource_permission("owner", "experiment", "1")
    here.update_user("owner", password=NEW)

    assert rights(there, "owner") == []
    assert not there.authenticate_user("owner", PASSWORD)
    assert there.authenticate_user("owner", NEW)


def test_an_admin_who_is_one_no_more_is_not_taken_for_one_for_long(workers):
    here, there, clock = workers
    assert there.get_user(ADMIN).is_admin

    here.update_user(ADMIN, is_admin=False)

    assert not here.get_user(ADMIN).is_admin
    clock.now = SECONDS
    assert not there.get_user(ADMIN).is_admin


def test_logins_take_no_connections_of_their_own(workers):
    here, there, _ = workers

    assert here.engine is there.engine is handlers._get_tracking_store().engine
