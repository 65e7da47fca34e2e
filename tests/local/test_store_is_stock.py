"""Our store answers, refuses and writes what MLflow's own does.

The seed is printed with a failure. `STORE_CALLS=100000` makes a longer run of it, and
`STORE_SEED=...` another one.
"""

import math
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from mlflow.entities import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_RUN_NAME
from sqlalchemy import text

from server.store.postgres import PostgresStore

from .databases import ARTIFACTS
from .eventually import eventually
from .two_stores import TwoStores, identifier

SEED = int(os.environ.get("STORE_SEED", "20261125"))
CALLS = int(os.environ.get("STORE_CALLS", "1500"))
SEQUENCE = 50
"""Calls between two comparisons of all tables."""


@pytest.fixture(scope="module")
def stores(equal) -> Iterator[TwoStores]:
    both = TwoStores(
        SqlAlchemyStore(equal["stock"], ARTIFACTS), PostgresStore(equal["tuned"], ARTIFACTS)
    )
    yield both
    both.stock._dispose_engine()
    both.tuned._dispose_engine()


KEYS = ["loss", "acc", "a b/c.d-e:f_1", "ключ", "x" * 250]
BAD_KEYS = ["", "x" * 251, "../up", "a//b", "comma,", "quote'", None]
VALUES = [
    0.0,
    -0.0,
    1.0,
    1.5,
    -2.5,
    0.1,
    1e308,
    5e-324,
    math.nan,
    float("nan"),
    math.inf,
    -math.inf,
]
BAD_VALUES = [None, "1", True, 3, 10**400, 2**70]
STEPS = [0, 0, 1, 2, -1, 2**63 - 1, -(2**63)]
BAD_STEPS = [2**63, None, "1", 0.5]
TIMES = [0, 1, 1, 2, 1_700_000_000_000]
BAD_TIMES = [-1, 2**63, None]
TEXTS = ["", "a", "b", "B", "0.5", "Grüße ☃ 'quoted' \"twice\" \\ % %s {} $1 \n", "y" * 6000]
BAD_TEXTS = ["y" * 6001, "z" * 8001, "nul\0", None, 7, "\ud800"]


class Caller:
    """Calls at random, most of them such as a client makes."""

    def __init__(self, stores: TwoStores, seed: int) -> None:
        self.stores = stores
        self.random = random.Random(seed)  # noqa: S311
        self.experiments = ["0"]
        self.runs: list[str] = []
        self.tokens: list[Any] = []
        self.experiment_tokens: list[Any] = []

    def some(self, good: list[Any], bad: list[Any], odds: float = 0.04) -> Any:
        return self.random.choice(bad if self.random.random() < odds else good)

    def many(self, one: Any, most: int = 6) -> list[Any]:
        return [one() for _ in range(self.random.randint(0, most))]

    def run(self) -> Any:
        return self.some(self.runs[-4:] or ["none"], ["f" * 32, "", "no id!", None, 5], 0.03)

    def experiment(self) -> Any:
        return self.some(
            self.experiments[-3:], ["99999", "01", "", "x", None, 0, "-1", "9" * 30], 0.1
        )

    def metric(self) -> Metric:
        model = "m-1" if self.random.random() < 0.02 else None
        return Metric(
            self.some(KEYS, BAD_KEYS, 0.02),
            self.some(VALUES, BAD_VALUES, 0.02),
            self.some(TIMES, BAD_TIMES, 0.02),
            self.some(STEPS, BAD_STEPS, 0.02),
            model,
        )

    def param(self) -> Param:
        key = self.some([*KEYS, *map(str, range(200))], BAD_KEYS, 0.02)
        return Param(key, self.some(TEXTS, BAD_TEXTS, 0.02))

    def tag(self) -> RunTag:
        key = self.some([*KEYS, MLFLOW_RUN_NAME], BAD_KEYS)
        return RunTag(key, self.some(TEXTS, BAD_TEXTS, 0.03))

    def create_run(self) -> None:
        name = self.some([None, "", "run"], ["n" * 251, "nul\0"])
        tags = self.many(self.tag, 3)
        user, start = self.some(["me", ""], [None]), self.some([1, 2, 3], [None, "1"])
        kind, answer = self.stores.call("create_run", self.experiment(), user, start, tags, name)
        if kind == "answer":
            self.runs.append(identifier((kind, answer)))

    def log_metric(self) -> None:
        self.stores.call("log_metric", self.run(), self.metric())

    def log_param(self) -> None:
        self.stores.call("log_param", self.run(), self.param())

    def set_tag(self) -> None:
        self.stores.call("set_tag", self.run(), self.tag())

    def delete_tag(self) -> None:
        self.stores.call("delete_tag", self.run(), self.random.choice(KEYS))

    def log_batch(self) -> None:
        metrics, params, tags = (self.many(each) for each in (self.metric, self.param, self.tag))
        kinds = self.random.randint(0, 9)
        if kinds < 6:  # as clients do: one kind at a time
            metrics, params, tags = (
                metrics if kinds < 3 else [],
                params if 3 <= kinds < 5 else [],
                tags if kinds == 5 else [],
            )
        if self.random.random() < 0.02:  # too many
            metrics = [Metric(f"m{i}", 1.0, 1, 1) for i in range(self.random.choice([1000, 1001]))]
        if self.random.random() < 0.02:
            params = [Param(f"p{i}", "a") for i in range(self.random.choice([100, 101]))]
        self.stores.call("log_batch", self.run(), metrics, params, tags)

    def update_run_info(self) -> None:
        status = self.random.choice([RunStatus.FINISHED, RunStatus.RUNNING, None])
        name = self.random.choice([None, "renamed"])
        self.stores.call("update_run_info", self.run(), status, 5, name)

    def delete_run(self) -> None:
        self.stores.call("delete_run", self.run())

    def restore_run(self) -> None:
        self.stores.call("restore_run", self.run())

    def create_experiment(self) -> None:
        name = self.random.choice(["one", "two", f"experiment {len(self.experiments)}"])
        location = self.random.choice(
            [None, None, "s3://bucket/a?b=c", "/absolute", "s3://b?x=../y"]
        )
        kind, answer = self.stores.call("create_experiment", name, location)
        if kind == "answer":
            self.experiments.append(identifier((kind, answer)))

    def delete_experiment(self) -> None:
        self.stores.call("delete_experiment", self.experiments[-1])

    def restore_experiment(self) -> None:
        self.stores.call("restore_experiment", self.experiments[-1])

    def log_inputs(self) -> None:
        digest = self.random.choice(["1", "2"])
        context = InputTag(MLFLOW_DATASET_CONTEXT, self.random.choice(["train", "eval"]))
        dataset = Dataset(name="flights", digest=digest, source_type="local", source="x")
        self.stores.call(
            "log_inputs", self.run(), [DatasetInput(dataset, [context])], [LoggedModelInput("m-2")]
        )

    def log_outputs(self) -> None:
        model = f"m-{self.random.randint(0, 99)}"
        self.stores.call("log_outputs", self.run(), [LoggedModelOutput(model, step=1)])

    def get_run(self) -> None:
        self.stores.call("get_run", self.run())

    def get_metric_history(self) -> None:
        self.stores.call("get_metric_history", self.run(), self.random.choice(KEYS))

    def search_runs(self) -> None:
        token = self.some([None, *self.tokens[-2:]], ["!", "0"])
        kind, answer = self.stores.call(
            "search_runs",
            [str(each) for each in self.many(self.experiment, 3)] or self.experiments,
            " and ".join(self.many(lambda: self.some(FILTERS, BAD_FILTERS, 0.03), 3)) or None,
            self.random.choice([ViewType.ACTIVE_ONLY, ViewType.ALL, ViewType.DELETED_ONLY]),
            self.some([1, 2, 3, 1000], [0, -1, 10**9, None, "1"]),
            self.many(lambda: self.some(ORDERS, BAD_ORDERS, 0.03), 3) or None,
            token,
        )
        if kind == "answer" and answer[-1] != "None":
            self.tokens.append(answer[-1].strip("'"))

    def rename_experiment(self) -> None:
        name = self.random.choice(["one", "Two", f"renamed {len(self.experiments)}"])
        self.stores.call("rename_experiment", self.experiments[-1], name)

    def set_experiment_tag(self) -> None:
        tag = ExperimentTag(self.random.choice(KEYS), self.some(TEXTS[:-1], BAD_TEXTS, 0.03))
        self.stores.call("set_experiment_tag", self.random.choice(self.experiments), tag)

    def delete_experiment_tag(self) -> None:
        key = self.random.choice(KEYS)
        self.stores.call("delete_experiment_tag", self.random.choice(self.experiments), key)

    def search_experiments(self) -> None:
        conditions = self.many(lambda: self.some(EXPERIMENT_FILTERS, BAD_EXPERIMENT_FILTERS), 3)
        orders = self.many(lambda: self.some(EXPERIMENT_ORDERS, BAD_EXPERIMENT_ORDERS, 0.03), 3)
        kind, answer = self.stores.call(
            "search_experiments",
            self.some([ViewType.ACTIVE_ONLY, ViewType.ALL, ViewType.DELETED_ONLY], [0, 7, None]),
            self.some([1, 2, 3, 1000], [0, -1, 10**9, None, "1"]),
            " and ".join(conditions) or self.random.choice([None, ""]),
            orders or self.random.choice([None, []]),
            self.some([None, None, *self.experiment_tokens[-2:]], BAD_TOKENS),
        )
        if kind == "answer" and answer[-1] != "None":
            self.experiment_tokens.append(answer[-1].strip("'"))

    ODDS = {
        "create_run": 8, "log_metric": 14, "log_batch": 20, "log_param": 6, "set_tag": 6,
        "delete_tag": 2, "update_run_info": 3, "delete_run": 2, "restore_run": 3,
        "create_experiment": 2, "delete_experiment": 1, "restore_experiment": 2,
        "log_inputs": 3, "log_outputs": 2, "get_run": 12, "get_metric_history": 2,
        "search_runs": 24, "rename_experiment": 2, "set_experiment_tag": 6,
        "delete_experiment_tag": 1, "search_experiments": 16,
    }  # fmt: skip

    def step(self) -> None:
        (name,) = self.random.choices([*self.ODDS], [*self.ODDS.values()])
        getattr(self, name)()


FILTERS = [
    "metrics.loss > 0",
    "metrics.loss != 1.5",
    "metrics.acc <= 1e308",
    "metrics.`a b/c.d-e:f_1` = 0",
    "params.loss = 'a'",
    "params.loss LIKE '%'",
    "params.`acc` ILIKE 'B'",
    "params.acc IS NULL",
    "tags.loss IS NOT NULL",
    "tags.acc != 'a'",
    "tags.mlflow.runName = 'run'",
    "attributes.status = 'RUNNING'",
    "attributes.status IN ('RUNNING', 'FINISHED')",
    "attributes.run_name ILIKE 'r%'",
    "start_time >= 2",
    "end_time < 9",
    "attributes.user_id = 'me'",
    "dataset.name = 'flights'",
    "dataset.context = 'train'",
    "dataset.digest LIKE '1%'",
    "attributes.run_id IN ('a', 'b')",
]
BAD_FILTERS = [
    "metrics.loss = 'a'",
    "nonsense",
    "params.a > 1",
    "attributes.start_time > 'x'",
    "start_time > 99999999999999999999",
    "params.a = 'nul\0'",
    "dataset.color = 'a'",
    "'",
]
ORDERS = [
    "metrics.loss",
    "metrics.acc DESC",
    "params.loss",
    "tags.loss ASC",
    "start_time",
    "attributes.end_time DESC",
    "attributes.run_name",
    "run_id DESC",
    "attributes.status",
]
BAD_ORDERS = ["nonsense.x", "metrics.loss UP", "", "attributes.color"]
BEFORE_THE_FIRST = "eyJvZmZzZXQiOiAiLTEifQ=="  # an offset of -1
BAD_TOKENS = [
    "!",
    "0",
    "e30=",  # an object without an offset
    BEFORE_THE_FIRST,
    "eyJvZmZzZXQiOiAxMDAwfQ==",  # beyond the end
]

EXPERIMENT_FILTERS = [
    "name = 'one'",
    "name != 'one'",
    "name LIKE 'exp%'",
    "attribute.name ILIKE 'T%'",
    "experiment_id = '0'",
    "experiment_id IN ('0', '1', '2')",
    "experiment_id NOT IN ('1')",
    "creation_time > 1700000000000",
    "last_update_time <= 1700000000100",
    "tags.loss = 'a'",
    "tags.acc != 'b'",
    "tag.loss LIKE '%'",
    "tags.`a b/c.d-e:f_1` ILIKE 'B'",
    "tags.loss IS NULL",
    "tags.ключ IS NOT NULL",
]
BAD_EXPERIMENT_FILTERS = [
    "nonsense",
    "color = 'red'",
    "metrics.loss > 1",
    "experiment_id > '1'",
    "experiment_id = 'x'",
    "experiment_id = '99999999999999999999'",
    "creation_time > 'x'",
    "creation_time > 99999999999999999999",
    "creation_time > 1.5",
    "name > 'a'",
    "name IS NULL",
    "tags.loss > 'a'",
    "name = 'nul\0'",
    "name = '%s %(x)s {}'",
    "'",
]
EXPERIMENT_ORDERS = [
    "name",
    "name DESC",
    "attribute.creation_time ASC",
    "last_update_time DESC",
    "experiment_id",
    "experiment_id DESC",
]
BAD_EXPERIMENT_ORDERS = ["tags.loss", "nonsense", "name UP", "", "color DESC", None, 5]


def test_any_sequence_of_calls_has_the_same_answers_and_leaves_the_same_tables(stores):
    for start in range(0, CALLS, SEQUENCE):
        caller = Caller(stores, SEED + start)
        try:
            for _ in range(SEQUENCE):
                caller.step()
            stores.assert_same_tables()
        except AssertionError as difference:
            pytest.fail(f"STORE_SEED={SEED}, sequence {start}: {difference}")


@pytest.fixture
def experiment(stores, request) -> str:
    """One that no other test has deleted."""
    return identifier(stores.call("create_experiment", request.node.name))


def test_the_usual_calls_are_not_left_to_mlflow(stores, experiment, monkeypatch):
    def keep(name: str) -> None:
        original = getattr(SqlAlchemyStore, name)

        def method(self: SqlAlchemyStore, *args: Any) -> Any:
            assert type(self) is SqlAlchemyStore
            return original(self, *args)

        monkeypatch.setattr(SqlAlchemyStore, name, method)

    for name in ("create_run", "log_metric", "log_param", "set_tag", "log_batch", "get_run"):
        keep(name)
    keep("_search_runs")
    keep("_search_experiments")

    run = identifier(stores.call("create_run", experiment, "me", 1, [RunTag("a", "b")], "usual"))
    metrics = [Metric("loss", 0.5, 1, step) for step in range(3)]
    stores.call("log_metric", run, metrics[0])
    stores.call("log_param", run, Param("depth", "7"))
    stores.call("set_tag", run, RunTag("color", "red"))
    stores.call("log_batch", run, metrics, [Param("depth", "7")], [RunTag("color", "blue")])
    kind, found = stores.call("get_run", run)
    stores.call("search_runs", [experiment], "metrics.loss = 0.5", ViewType.ALL)
    stores.call("search_experiments")
    stores.call("search_experiments", ViewType.ALL, 5, "tags.a = 'b'", ["name", "creation_time"])

    assert kind == "answer"
    assert found[1]["_data"][1]["_tags"]["color"] == "'blue'"
    stores.assert_same_tables()


def test_the_latest_of_every_two_metrics_is_the_same(stores, experiment):
    """In one batch, and one after the other. Nothing is stored as zero, and yet another one."""
    run = identifier(stores.call("create_run", experiment, "me", 1, [], "pairs"))
    kinds = [*product([0.0, math.nan, 1.0], [0, 1], [0, 1])]
    pairs = [*product(kinds, kinds)]
    first, second = (
        [Metric(f"apart-{n}", *pair[place]) for n, pair in enumerate(pairs)] for place in (0, 1)
    )
    together = [Metric(f"batch-{n}", *kind) for n, pair in enumerate(pairs) for kind in pair]

    for batch in (first, second, together):
        stores.call("log_batch", run, batch, [], [])

    stores.assert_same_tables()


def test_a_batch_with_one_changed_parameter_is_refused_whole(stores, experiment):
    run = identifier(stores.call("create_run", experiment, "me", 1, [], "changes"))
    stores.call("log_param", run, Param("depth", "7"))
    params = [Param("width", "1"), Param("depth", "8")]

    for others in ([], [RunTag("a", "b")]):
        kind, _ = stores.call("log_batch", run, [Metric("loss", 0.5, 1, 1)], params, others)
        assert kind == "MlflowException"
        stores.call("log_batch", run, [], params, others)

    stores.assert_same_tables()


@pytest.mark.parametrize("name", ["", "n" * 250, "n" * 251])
def test_a_run_may_be_named_by_its_tag(stores, experiment, name):
    stores.call("create_run", experiment, "me", 1, [RunTag(MLFLOW_RUN_NAME, name)], None)

    stores.assert_same_tables()


LEFT_BEHIND = """
INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,
    creation_time, last_update_time)
VALUES
    (1000000, 'of an old version', NULL, 'active', NULL, NULL),
    (1000001, 'Old', '', 'active', 5, NULL),
    (1000002, 'a', 's3://b', NULL, NULL, 5);
INSERT INTO experiment_tags (experiment_id, key, value)
VALUES (1000000, 'empty', NULL), (1000000, 'mlflow.note.content', ''), (1000001, '', 'x')"""


def test_experiments_that_older_versions_have_left_are_found_alike(stores):
    for store in (stores.stock, stores.tuned):
        with store.engine.begin() as connection:
            connection.execute(text(LEFT_BEHIND))

    orders = [None, *([order] for order in EXPERIMENT_ORDERS)]
    for filter_string, order in product([None, "tags.empty IS NOT NULL", "name = 'Old'"], orders):
        stores.call("search_experiments", ViewType.ALL, 1000, filter_string, order)
        stores.call("search_experiments", ViewType.ACTIVE_ONLY, 1, filter_string, order)


def test_what_postgres_refuses_to_search_is_said_in_mlflows_words(stores):
    kind, (_, message) = stores.call(
        "search_experiments", ViewType.ALL, 5, None, None, BEFORE_THE_FIRST
    )

    assert kind == "MlflowException"
    assert "OFFSET must not be negative" in message


RETENTION = """
trace_archival: {enabled: true, location: "s3://bucket/traces", retention: 30d}
"""


@pytest.mark.parametrize("content", [RETENTION, "nonsense"])
def test_how_long_traces_are_kept_is_part_of_an_experiment(stores, tmp_path, monkeypatch, content):
    (tmp_path / "archival.yaml").write_text(content)
    monkeypatch.setenv("MLFLOW_TRACE_ARCHIVAL_CONFIG", str(tmp_path / "archival.yaml"))

    kind, found = stores.call("search_experiments", ViewType.ACTIVE_ONLY, 1)

    assert kind == "answer"
    kept = found[0][1]["_effective_trace_archival_retention"]
    assert kept == ("'30d'" if content == RETENTION else "None")


def test_who_loses_to_a_deadlock_begins_anew_and_leaves_nothing_to_mlflow(
    equal, stores, experiment, monkeypatch
):
    run = identifier(stores.call("create_run", experiment, "me", 1, [], "deadlock"))
    stores.call("log_batch", run, [Metric(key, 0.0, 1, 0) for key in "ab"], [], [])
    monkeypatch.setattr(SqlAlchemyStore, "log_batch", lambda *_: pytest.fail("it is left to it"))
    change = text("UPDATE latest_metrics SET value = 0 WHERE run_uuid = :run AND key = :key")
    waits = text("SELECT 1 FROM pg_locks WHERE NOT granted")

    with ThreadPoolExecutor(1) as thread, stores.tuned.engine.connect() as other:
        other.execute(text("SET LOCAL deadlock_timeout = '1min'"))  # so that ours is ended
        other.execute(change, {"run": run, "key": "b"})
        metrics = [Metric(key, 1.0, 1, 1) for key in "ab"]
        logging = thread.submit(stores.tuned.log_batch, run, metrics, [], [])
        eventually(lambda: other.execute(waits).first())
        other.execute(change, {"run": run, "key": "a"})
        other.commit()
        logging.result()

    monkeypatch.undo()
    stores.stock.log_batch(run, metrics, [], [])
    stores.assert_same_tables()


WRITERS = 6
ROUNDS = 12


class Patient:
    """MLflow's own store refuses some of what is written twice at the same time."""

    def __init__(self, store: SqlAlchemyStore) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> None:
            for _ in range(20):
                with suppress(MlflowException):
                    return getattr(self.store, name)(*args)
            raise AssertionError(name)

        return call


def work(store: Any, run: str, writer: int) -> None:
    """What one of many processes of a training logs: some of it the same as the others."""
    dice = random.Random(writer)  # noqa: S311
    for step in range(ROUNDS):
        keys = dice.sample(["a", "b", "c", "d"], 4)
        metrics = [Metric(key, float(dice.randint(0, 3)), 1, dice.randint(0, 3)) for key in keys]
        tags = [RunTag(f"{key}-{writer}", str(step)) for key in keys]
        store.log_batch(run, [*metrics, *metrics], [Param(f"p-{writer}", "1")], tags)
        store.log_metric(run, Metric("a", float(step), 1, dice.choice([step, 0])))
        store.set_tag(run, RunTag(f"{writer}", str(step)))


def test_writers_at_once_leave_what_they_leave_one_after_the_other(equal, stores, experiment):
    """Also beside MLflow's own store, as while servers are replaced."""
    for name in ("alone", "mixed"):
        stores.call("create_run", experiment, "me", 1, [], name)
    found = stores.stock.search_runs([experiment], "", ViewType.ALL)
    runs = {run.info.run_name: run.info.run_id for run in found}
    beside = Patient(SqlAlchemyStore(equal["tuned"], ARTIFACTS))

    with ThreadPoolExecutor(WRITERS) as threads:
        for name, others in (("alone", stores.tuned), ("mixed", beside)):
            kinds = [stores.tuned, others] * (WRITERS // 2)
            list(threads.map(work, kinds, [runs[name]] * WRITERS, range(WRITERS)))
    for name in ("alone", "mixed"):
        for writer in range(WRITERS):
            work(stores.stock, runs[name], writer)

    stores.assert_same_tables()
