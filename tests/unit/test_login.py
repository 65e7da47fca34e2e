"""The parts of a login that need no database, and what they take for granted of MLflow."""

import asyncio
import hashlib
import inspect
import re
import stat
from types import SimpleNamespace

import pytest
from flask import Flask, request, session
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import LogBatch, LogMetric, LogParam
from mlflow.server import auth, handlers
from mlflow.server.auth import sqlalchemy_store
from mlflow.server.auth.config import read_auth_config
from mlflow.server.auth.requirements import Requirement

from server.auth import checks, memory
from server.auth import store as stores
from server.auth.checks import Checks
from server.auth.config_file import PATH, write_config_file
from server.auth.contract import DEFAULT_PERMISSION
from server.auth.memory import Memory
from server.auth.messages import Messages
from server.auth.ready import Ready
from server.auth.sessions import Sessions
from server.auth.store import RememberingStore
from tests.awaited import awaited

URL = "postgresql+psycopg2://me:50%25@db/mlflow"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Answers:
    """Another answer each time."""

    def __init__(self):
        self.given = 0

    def __call__(self):
        self.given += 1
        return self.given


def test_an_answer_is_gone_by_for_as_long_as_it_was_said():
    clock, ask = Clock(), Answers()
    known = Memory(10, clock)

    seen = []
    for clock.now in (0, 9.9, 10, 19.9, 20):
        seen.append(known.recall("key", ask))

    assert seen == [1, 1, 2, 2, 3]


def test_what_follows_from_an_answer_is_gone_by_for_no_longer_than_that():
    clock, ask = Clock(), Answers()
    known = Memory(10, clock)

    def conclude():
        return known.recall("answer", ask)

    known.recall("answer", ask)
    seen = []
    for clock.now in (9, 9.9, 10):
        seen.append((known.recall("answer", ask), known.recall("conclusion", conclude)))

    assert seen == [(1, 1), (1, 1), (2, 2)]


def test_what_follows_from_nothing_is_gone_by_for_as_long_as_anything():
    clock, ask = Clock(), Answers()
    known = Memory(10, clock)
    known.recall("old", ask)

    seen = []
    for clock.now in (9, 18, 19):
        known.recall("old", ask)
        seen.append(known.recall("new", ask))

    assert seen == [2, 2, 4]


def test_without_seconds_it_is_asked_each_time():
    known, ask = Memory(0), Answers()

    assert [known.recall("key", ask) for _ in range(3)] == [1, 2, 3]


def test_what_was_asked_before_something_was_written_is_not_kept():
    known, ask = Memory(10), Answers()

    def ask_while_somebody_writes():
        answer = ask()
        known.forget()
        return answer

    assert known.recall("key", ask_while_somebody_writes) == 1
    assert known.recall("key", ask) == 2


def test_an_error_is_not_kept():
    known = Memory(10)

    def fail():
        raise MlflowException("no such user")

    with pytest.raises(MlflowException):
        known.recall("key", fail)
    assert known.recall("key", lambda: "found") == "found"


def test_it_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(memory, "MOST", 3)
    known = Memory(10)

    for key in range(10):
        known.recall(key, lambda: 0)

    assert len(known._answers) <= 3


@pytest.fixture
def compared(monkeypatch):
    """The passwords that were compared with a hash, of which each fits its own."""
    passwords = []

    def compare(stored, password):
        passwords.append(password)
        return stored == f"hash of {password}"

    monkeypatch.setattr(stores, "check_password_hash", compare)
    return passwords


def test_a_right_password_is_compared_once_with_what_is_stored_and_a_wrong_one_each_time(compared):
    known = RememberingStore(Memory(10))

    fitting = [known._fits("hash of one", each) for each in ("one", "two", "one", "two")]

    assert fitting == [True, False, True, False]
    assert compared == ["one", "two", "two"]


def test_a_password_that_fits_one_hash_is_compared_with_the_next(compared):
    known = RememberingStore(Memory(10))
    assert known._fits("hash of one", "one")

    assert not known._fits("hash of two", "one")


def test_it_does_not_remember_passwords_for_ever(monkeypatch, compared):
    monkeypatch.setattr(stores, "MOST", 3)
    known = RememberingStore(Memory(10))

    assert all(known._fits(f"hash of {each}", str(each)) for each in range(10))

    assert len(known._fitting) <= 3


def test_no_password_is_kept(compared):
    known = RememberingStore(Memory(10))
    known._fits("hash of one", "one")

    ((stored, kept),) = known._fitting
    assert stored == "hash of one"
    assert kept not in (b"one", hashlib.blake2b(b"one").digest())


class Probes:
    """Who asks whether a server is ready, whose database answers as often as it is asked."""

    def __init__(self, monkeypatch):
        self.asked = 0
        self.ready = Ready(SimpleNamespace(routes=[]), None)
        monkeypatch.setattr(self.ready, "_answers", self.answer)

    def answer(self):
        self.asked += 1
        return True

    async def ask(self):
        sent = []

        async def send(message):
            sent.append(message)

        await self.ready({"type": "http", "path": "/ready"}, None, send)
        return sent[0]["status"]


def test_however_many_ask_whether_it_is_ready_the_database_is_asked_once(monkeypatch):
    probes = Probes(monkeypatch)

    async def ask():
        together = await asyncio.gather(*(probes.ask() for _ in range(5)))
        return [*together, probes.asked, await probes.ask(), probes.asked]

    assert awaited(ask()) == [200] * 5 + [1, 200, 2]


def test_whoever_asks_and_goes_away_takes_nobodys_answer_along(monkeypatch):
    probes = Probes(monkeypatch)

    async def ask():
        impatient, patient = (asyncio.create_task(probes.ask()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert awaited(ask()) == 200


@pytest.fixture
def config_file(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(PATH, "")
    monkeypatch.setenv(DEFAULT_PERMISSION, "EDIT")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", URL)
    return write_config_file(password_seconds=7)


def test_mlflow_reads_from_its_file_what_the_server_was_told(config_file):
    read = read_auth_config()

    assert read.database_uri == URL
    assert (read.default_permission, read.admin_username) == ("EDIT", "admin")
    assert read.auth_cache_ttl_seconds == 7


def test_nobody_else_may_read_the_file(config_file):
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600


class Counting(Memory):
    """How often it had to forget."""

    forgotten = 0

    def forget(self):
        super().forget()
        self.forgotten += 1


@pytest.fixture
def store():
    return RememberingStore(Counting(10))


@pytest.fixture
def app():
    return Flask("app")


@pytest.fixture
def asked(app):
    """A request, with a login that is asked for anew each time."""
    with app.test_request_context("/", auth=("me", "secret")):
        yield request


def test_nobody_is_refused_for_what_is_only_remembered(monkeypatch, store, asked):
    refusals = [SimpleNamespace(status_code=403), None]
    monkeypatch.setattr(auth, "_before_request", lambda: refusals.pop(0))

    assert Checks(store).before_request() is None
    assert store.memory.forgotten == 1


def test_whoever_has_no_right_is_refused_all_the_same(monkeypatch, store, asked):
    refusal = SimpleNamespace(status_code=403)
    monkeypatch.setattr(auth, "_before_request", lambda: refusal)

    assert Checks(store).before_request() is refusal


def test_who_asks_is_found_once_in_a_request(monkeypatch, store, app):
    logins = []

    def authenticate():
        logins.append(request.authorization)
        return logins[-1]

    monkeypatch.setattr(auth, "authenticate_request", authenticate)
    ask = Checks(store).authenticate_request

    for name in ("me", "you"):
        with app.test_request_context("/", auth=(name, "secret")):
            assert [ask().username for _ in range(3)] == [name] * 3
    assert len(logins) == 2


def test_who_has_logged_in_is_known_by_the_same_header_until_something_is_written(
    monkeypatch, store, app
):
    logins = []
    monkeypatch.setattr(
        auth, "authenticate_request", lambda: logins.append(1) or request.authorization
    )
    ask = Checks(store).authenticate_request

    for password in ("right", "right", "new", "right"):
        with app.test_request_context("/", auth=("me", password)):
            assert ask().username == "me"
    assert len(logins) == 2

    store.memory.forget()
    with app.test_request_context("/", auth=("me", "right")):
        ask()
    assert len(logins) == 3


def test_no_password_is_kept_of_who_has_logged_in(store, monkeypatch, asked):
    monkeypatch.setattr(auth, "authenticate_request", lambda: asked.authorization)

    assert Checks(store).authenticate_request().password is None

    assert "secret" not in repr(store.memory._answers)
    assert asked.headers["Authorization"] not in repr(store.memory._answers)


def test_a_decision_is_gone_by_for_the_same_question_only(monkeypatch, store):
    asked = []
    monkeypatch.setattr(auth, "authorize", lambda *question: asked.append(question) or True)
    authorize = Checks(store).authorize
    anchor = ("experiment", "1")
    questions = [
        ("me", anchor, [Requirement("experiment", "1", "read")]),
        ("you", anchor, [Requirement("experiment", "1", "read")]),
        ("me", anchor, [Requirement("experiment", "1", "update")]),
        ("me", anchor, [Requirement("experiment", 1, "read")]),
        ("me", anchor, [Requirement("experiment", 1.0, "read")]),
        ("me", ("experiment", "2"), [Requirement("experiment", "1", "read")]),
    ]

    for question in [*questions, *questions]:
        assert authorize(*question)
    assert asked == questions


def test_between_workspaces_every_decision_is_made_anew(monkeypatch, store):
    asked = []
    monkeypatch.setattr(auth, "authorize", lambda *question: asked.append(question) or True)
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    authorize = Checks(store).authorize

    for _ in range(2):
        authorize("me", ("experiment", "1"), [])
    assert len(asked) == 2


def test_that_nobody_logged_in_is_not_gone_by(monkeypatch, store, app):
    answers = [app.response_class(status=401), app.response_class(status=401)]
    monkeypatch.setattr(auth, "authenticate_request", lambda: answers.pop())
    ask = Checks(store).authenticate_request

    with app.test_request_context("/"):
        assert ask() is not ask()


def test_before_somebody_is_refused_it_is_asked_again_who_they_are(monkeypatch, store, asked):
    asking = []

    def authenticate():
        asking.append(asked.authorization)
        return asked.authorization

    def before():
        checked.authenticate_request()
        return SimpleNamespace(status_code=403)

    monkeypatch.setattr(auth, "authenticate_request", authenticate)
    monkeypatch.setattr(auth, "_before_request", before)
    checked = Checks(store)

    checked.before_request()
    assert len(asking) == 2


METRIC = {"run_id": "1", "key": "loss", "value": 0.5, "timestamp": 1, "step": 2}
BATCH = {"run_id": "1", "metrics": [METRIC, METRIC | {"model_id": "m"}]}
ODD = [
    (LogMetric, METRIC),
    (LogBatch, BATCH),
    (LogMetric, METRIC | {"timestamp": "never"}),
    (LogBatch, BATCH | {"metrics": {}}),
    (LogBatch, BATCH | {"runId": "2"}),
    (LogBatch, {"run_id": "1", "metrics": [{"value": 1}]}),
    (LogMetric, {}),
    (LogMetric, None),
    (LogMetric, 5),
    (LogMetric, '{"run_id": "1"}'),
    (LogParam, {"run_id": "1", "key": "k", "value": "v"}),
]
"""Kinds of messages, and bodies that are theirs, or nearly."""

CONDITIONS = {
    "run_id": [handlers._assert_required, handlers._assert_string],
    "metrics": [handlers._assert_array],
    "timestamp": [handlers._assert_intlike],
}
"""What a handler demands of them."""


def outcome(ask):
    try:
        return ask()
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize(("kind", "body"), ODD)
def test_a_handler_is_given_what_mlflow_would_give_it(monkeypatch, app, kind, body):
    checking = handlers._get_request_message
    with app.test_request_context("/", method="POST", json=body):
        expected = outcome(lambda: checking(kind(), schema=CONDITIONS))
    for name in ("parse_dict", "_get_request_message"):
        monkeypatch.setattr(handlers, name, getattr(handlers, name))
    Messages().install()

    with app.test_request_context("/", method="POST", json=body):
        outcome(lambda: checking(kind()))
        assert outcome(lambda: handlers._get_request_message(kind(), schema=CONDITIONS)) == expected


def test_what_a_check_has_parsed_is_not_parsed_again(monkeypatch, app):
    parsed = []
    monkeypatch.setattr(handlers, "_get_request_message", handlers._get_request_message)
    monkeypatch.setattr(handlers, "parse_dict", lambda body, message: parsed.append(body))
    checking = handlers._get_request_message
    Messages().install()

    for body in (BATCH, BATCH | {"run_id": "2"}):
        with app.test_request_context("/", method="POST", json=body):
            checking(LogBatch())
            handlers._get_request_message(LogBatch())
    assert parsed == [BATCH, BATCH | {"run_id": "2"}]


@pytest.fixture
def pages(app):
    """Of an app that counts how often somebody was there."""
    app.secret_key = "a key"
    app.session_interface = Sessions()

    @app.get("/count")
    def count():
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    @app.get("/look")
    def look():
        return str(session.get("count", 0))

    @app.get("/leave")
    def leave():
        session.clear()
        return ""

    @app.get("/")
    def index():
        return ""

    return app.test_client()


def test_sessions_are_kept_as_flask_keeps_them(pages):
    assert [pages.get(path).text for path in ("/look", "/count", "/count", "/look")] == [
        "0", "1", "2", "2",
    ]  # fmt: skip
    assert "Cookie" in pages.get("/look").headers["Vary"]
    assert "Set-Cookie" in pages.get("/leave").headers
    assert pages.get("/look").text == "0"


def test_where_no_session_is_needed_nothing_is_said_of_one(pages):
    assert not {"Vary", "Set-Cookie"} & {*pages.get("/").headers.keys()}


def test_nobody_without_a_login_makes_it_forget(monkeypatch, store):
    monkeypatch.setattr(auth, "_before_request", lambda: SimpleNamespace(status_code=401))

    Checks(store).before_request()
    assert store.memory.forgotten == 0


@pytest.mark.parametrize("allowed", [True, False])
def test_a_request_to_fastapi_is_asked_for_twice_before_it_is_refused(monkeypatch, store, allowed):
    answers = [False, allowed]

    async def validator(username, request):
        return answers.pop(0)

    monkeypatch.setattr(auth, "_find_fastapi_validator", lambda path, method: validator)
    ask = Checks(store).find_native_validator("/x", "GET")

    assert awaited(ask("me", None)) is allowed
    assert store.memory.forgotten == 1


def test_what_fastapi_leaves_to_flask_stays_left_to_it(monkeypatch, store):
    monkeypatch.setattr(auth, "_find_fastapi_validator", lambda path, method: None)

    assert Checks(store).find_native_validator("/x", "GET") is None


def test_what_a_run_requires_is_as_it_was_whatever_its_last_asker_added(monkeypatch):
    monkeypatch.setattr(auth, "_run_requirement", lambda run, action: ("7", [action]))
    asks = Checks(SimpleNamespace(memory=Memory(10)))

    _, first = asks.run_requirement("run", "read")
    first.append("more")

    assert asks.run_requirement("run", "read") == ("7", ["read"])
    assert asks.run_requirement("run", "update") == ("7", ["update"])


REPLACED = {
    "_before_request": [(auth.create_app, "app.before_request(_before_request)")],
    "_after_request": [(auth.create_app, "app.after_request(_after_request)")],
    "_find_fastapi_validator": [
        (auth.add_fastapi_permission_middleware, "_find_fastapi_validator(path, request.method)")
    ],
    "_run_requirement": [
        (auth._authorize_run_id, "_run_requirement(run_id, action)"),
        (auth._validate_can_update_run_and_models, "_run_requirement("),
    ],
    "authorize": [
        (auth._authorize_run_id, "return authorize("),
        (auth._validate_can_update_run_and_models, "return authorize("),
        (auth._authorize_create_in_experiment_as, "return authorize("),
    ],
    "authenticate_request": [
        (auth._before_request, "authorization = authenticate_request()"),
        (auth.sender_is_admin, "authenticate_request().username"),
    ],
    "store": [(auth._init_store_for_app, "store.init_db("), (auth.sender_is_admin, "store.get")],
}
"""What `Checks` replaces, and who looks it up by its name, each time."""


@pytest.mark.parametrize("name", REPLACED)
def test_mlflow_looks_up_by_name_what_is_replaced(name):
    assert hasattr(auth, name)
    for function, call in REPLACED[name]:
        assert call in inspect.getsource(function)


def test_nothing_else_is_replaced(monkeypatch, store):
    before = dict(vars(auth))
    for name, value in before.items():
        monkeypatch.setattr(auth, name, value)

    Checks(store).install()

    assert {name for name, value in vars(auth).items() if before[name] is not value} == set(
        REPLACED
    )


def test_mlflows_handlers_look_up_by_name_what_is_replaced():
    assert "parse_dict(request_json, request_message)" in inspect.getsource(
        handlers._get_request_message
    )
    for handler, kind in ((handlers._log_metric, "LogMetric"), (handlers._log_batch, "LogBatch")):
        source = inspect.getsource(handler)
        assert re.search(rf"_get_request_message\(\s*{kind}\(\),", source)


def test_mlflows_checks_go_on_parsing():
    assert auth._get_request_message is handlers._get_request_message


READ = {
    auth._before_request: "1ccae2c2dc05",
    auth._after_request: "a12244138d8e",
    auth._run_requirement: "dd0c00e3e845",
    auth._validate_can_update_run_and_models: "d4afe68f1baf",
    auth._denied_sibling_tiers: "6502f060da14",
    auth._role_based_read_predicate: "98cb18091cdc",
    auth.authorize: "270bd0a8d4bf",
    auth._resolve_requirement_decisions: "9f73270985db",
    auth.resolve_permissions: "89b4cbe23336",
    auth.get_anchor_workspace: "0e077c3aa27f",
    auth._absent_permission: "ba0b5cc3bda2",
    auth.filter_search_experiments: "9b275a6d001f",
    auth._redact_run_response: "c394237f3124",
    auth._withhold_denied_run_model_links: "03c3384ba44a",
    auth.redact_metric_history_model_ids: "af214cf0c3b1",
    auth._withhold_denied_metric_references: "32be041f4a3d",
    auth._authenticate_cached: "d09f6f01ada8",
    auth.authenticate_request_basic_auth: "710311421414",
    auth.authenticate_request: "f8cc35eba793",
    auth.validate_can_log_metric: "a32fdb602c4c",
    auth.validate_can_log_batch: "b03706c5c5ae",
    handlers._get_request_message: "6f8d3d06867c",
    handlers._get_normalized_request_json: "3a41691e1f9f",
    handlers._log_metric: "fff834452665",
    handlers._log_batch: "9afe7a1d3378",
    sqlalchemy_store.SqlAlchemyStore.init_db: "94650545f1d7",
    sqlalchemy_store.SqlAlchemyStore.get_user: "d7a5d659abec",
    sqlalchemy_store.SqlAlchemyStore.authenticate_user: "c472bd4fddf6",
    sqlalchemy_store.SqlAlchemyStore.list_grants: "7da32bf85069",
}
"""What was read when `server/auth` was written, by the hash of its source."""


@pytest.mark.parametrize("function", READ, ids=lambda function: function.__name__)
def test_mlflow_still_checks_as_it_did_when_this_was_written(function):
    """If not: read it again, see whether `server/auth` still leaves nothing out, note the hash."""
    source = inspect.getsource(function)

    assert hashlib.sha256(source.encode()).hexdigest()[:12] == READ[function]


def test_every_session_of_mlflows_that_may_write_says_so():
    source = inspect.getsource(sqlalchemy_store)
    asked = set(re.findall(r"ManagedSessionMaker\(([^)]*)\) as session", source))

    assert asked == {"", "read_only=False", "read_only=not use_primary"}
    reading = re.findall(r"ManagedSessionMaker\(\) as session:\n((?: {12}.*\n|\n)+)", source)
    writes = re.compile(r"session\.(add|delete|flush|execute|begin_nested)\b|\.delete\(")
    assert [body for body in reading if writes.search(body)] == []


def test_what_withholds_is_what_mlflow_does_with_these_answers():
    known = set(auth.AFTER_REQUEST_HANDLERS.values())

    assert known >= checks.WITHHOLDING
