"""The schema migration against a real Postgres, with the roles that Cloud SQL would have."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from google.auth.credentials import AnonymousCredentials
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.dbmodels.initial_models import Base
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking
from sqlalchemy.exc import ProgrammingError

from server import backup, migration
from server.auth.contract import ADMIN, ADMIN_PASSWORD
from server.migration_contract import INSTANCE, RUNTIME_ROLE

from .migrations import CONNECTION_NAME, PASSWORD, at_once, environment
from .roles import RUNTIME

SCRIPTS = Path(mlflow.__file__).parent / "store" / "db_migrations"


def revisions() -> ScriptDirectory:
    return ScriptDirectory(str(SCRIPTS))


def head() -> str:
    return str(revisions().get_current_head())


def one_before_head() -> str:
    return str(revisions().get_revision(head()).down_revision)


@pytest.fixture(scope="module")
def outdated(postgres):
    """Name of a database as the previous schema left it, to make copies of."""
    name = postgres.create()
    engine = postgres.engine(name, "owner")
    Base.metadata.create_all(engine)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with engine.begin() as config.attributes["connection"]:
        command.upgrade(config, one_before_head())
    return name


@pytest.fixture
def old(postgres, outdated):
    return postgres.create(template=outdated)


@pytest.fixture(scope="module")
def current(postgres, migrated):
    """A database that was empty, as a process of its own has left it."""
    return postgres.create(template=migrated)


@dataclass
class CloudSql:
    """Answers as the Cloud SQL Admin API does, and notes what was asked and when."""

    busy: int = 0
    """How many requests are refused because another operation runs."""
    fails: bool = False
    asked: list[tuple[str, str, object]] = field(default_factory=list)
    revision_at_backup: str | None = None

    @contextmanager
    def listening(self, revision) -> Iterator[str]:
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                cloud.asked.append(("POST", self.path, body))
                if cloud.busy:
                    cloud.busy -= 1
                    return self.answer(409, {"error": {"message": "operationInProgress"}})
                cloud.revision_at_backup = revision()
                operation = {"status": "PENDING", "backupContext": {"backupId": "1700"}}
                return self.answer(200, operation)

            def do_GET(self):
                cloud.asked.append(("GET", self.path, None))
                polls = sum(method == "GET" for method, *_ in cloud.asked)
                run = {"status": "ENQUEUED" if polls < 2 else "SUCCESSFUL"}
                if cloud.fails:
                    run = {"status": "FAILED", "error": {"code": "FULL", "message": "no room"}}
                self.answer(200, run)

            def answer(self, status, body):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def cloud_sql(monkeypatch, postgres, old):
    cloud = CloudSql()
    with cloud.listening(lambda: postgres.revision(old)) as api:
        monkeypatch.setattr(backup, "API", api)
        monkeypatch.setattr(backup, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(
            backup.google.auth, "default", lambda scopes: (AnonymousCredentials(), None)
        )
        yield cloud


def main(monkeypatch, postgres, database, **changes):
    for key, value in environment(postgres, database, **changes).items():
        monkeypatch.setenv(key, value)
    migration.main()


def test_an_empty_database_gets_the_schema_of_the_installed_mlflow(postgres, current):
    assert postgres.revision(current) == head()


def test_a_second_run_finds_the_schema_current_and_changes_nothing(
    postgres, current, monkeypatch, caplog
):
    caplog.set_level("INFO")

    def state():
        return [
            postgres.execute(current, "SELECT oid FROM pg_class ORDER BY oid"),
            postgres.execute(current, "SELECT * FROM users"),
        ]

    before = state()

    main(monkeypatch, postgres, current, **{ADMIN_PASSWORD: "another long password"})

    assert f"The schema is current ({head()}, " in caplog.text
    assert state() == before


def test_runs_at_the_same_time_all_succeed_and_one_of_them_migrates(postgres, old, tmp_path):
    told = environment(postgres, old, **{ADMIN_PASSWORD: PASSWORD})
    runs = at_once(told, [tmp_path / str(number) for number in range(3)])

    assert [status for status, _ in runs] == [0] * 3, runs
    assert sum("Upgraded to" in said for _, said in runs) == 1
    assert sum("The schema is current" in said for _, said in runs) == 2
    assert postgres.execute(old, "SELECT username, is_admin FROM users") == [(ADMIN, True)]


def test_the_server_role_tracks_runs_and_registers_models(postgres, current, tmp_path):
    url = postgres.url(current, RUNTIME)

    tracking = Tracking(url, tmp_path.as_uri())
    experiment = tracking.create_experiment("flights")
    run = tracking.create_run(experiment, "me", 1, [RunTag("team", "a")], "first").info.run_id
    tracking.log_batch(run, [Metric("loss", 0.5, 2, 0)], [Param("depth", "3")], [])
    tracking.delete_run(run)
    tracking.restore_run(run)
    registry = Registry(url)
    registry.create_registered_model("forest")
    registry.create_model_version("forest", "runs:/x/model", run)

    assert tracking.get_run(run).data.metrics == {"loss": 0.5}
    assert registry.get_latest_versions("forest")[0].run_id == run


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE runs ADD COLUMN mine int",
        "DROP TABLE runs CASCADE",
        "TRUNCATE runs CASCADE",
        "CREATE INDEX mine ON runs (name)",
        "UPDATE alembic_version SET version_num = 'mine'",
        "UPDATE alembic_version_auth SET version_num = 'mine'",
        "DROP TABLE users CASCADE",
        "CREATE SCHEMA mine",
    ],
)
def test_the_server_role_cannot_change_the_schema(postgres, current, statement):
    with pytest.raises(ProgrammingError, match="permission denied|must be owner"):
        postgres.execute(current, statement, role=RUNTIME)


def test_where_nobody_logs_in_there_are_no_users(postgres, old, monkeypatch):
    main(monkeypatch, postgres, old)

    assert postgres.execute(old, "SELECT to_regclass('users')") == [(None,)]


def test_a_password_that_mlflow_refuses_ends_it_with_mlflows_own_words(
    postgres, current, monkeypatch, caplog
):
    postgres.execute(current, f"UPDATE users SET username = 'other' WHERE username = '{ADMIN}'")  # noqa: S608

    with pytest.raises(SystemExit):
        main(monkeypatch, postgres, current, **{ADMIN_PASSWORD: "too short"})

    postgres.execute(current, f"UPDATE users SET username = '{ADMIN}'")  # noqa: S608
    assert "The configured password for the admin user 'admin' is invalid" in caplog.text


def test_users_that_a_newer_mlflow_knows_are_refused_untouched(
    postgres, current, monkeypatch, caplog
):
    (known,) = postgres.execute(current, "SELECT version_num FROM alembic_version_auth")[0]
    postgres.execute(current, "UPDATE alembic_version_auth SET version_num = 'f00dfeed'")

    with pytest.raises(SystemExit):
        main(monkeypatch, postgres, current, **{ADMIN_PASSWORD: PASSWORD})

    postgres.execute(current, f"UPDATE alembic_version_auth SET version_num = '{known}'")  # noqa: S608
    assert "schema f00dfeed, which this MLflow does not know" in caplog.text


def test_tables_that_the_owner_makes_later_are_open_to_the_server_role(postgres, current):
    postgres.execute(current, "CREATE TABLE later (id serial, name text)", role="owner")

    postgres.execute(current, "INSERT INTO later (name) VALUES ('x')", role=RUNTIME)


def test_a_role_that_can_create_tables_all_the_same_is_named(
    postgres, current, monkeypatch, caplog
):
    postgres.execute("postgres", "CREATE ROLE builtin LOGIN IN ROLE cloudsqlsuperuser")

    main(monkeypatch, postgres, current, **{RUNTIME_ROLE: "builtin"})

    assert "role builtin may still create tables" in caplog.text


def test_an_outdated_database_is_backed_up_and_then_upgraded(
    postgres, old, cloud_sql, monkeypatch, caplog
):
    caplog.set_level("INFO")
    cloud_sql.busy = 2

    main(monkeypatch, postgres, old, **{INSTANCE: CONNECTION_NAME})

    path = "/v1/projects/project/instances/mlflow-1a2b/backupRuns"
    description = f"before MLflow schema {one_before_head()} to {head()}"
    assert cloud_sql.asked[:3] == [("POST", path, {"description": description})] * 3
    assert cloud_sql.asked[3:] == [("GET", f"{path}/1700", None)] * 2
    assert cloud_sql.revision_at_backup == one_before_head()
    assert postgres.revision(old) == head()
    assert "gcloud sql backups restore 1700 --restore-instance=mlflow-1a2b" in caplog.text


def test_without_a_backup_nothing_is_changed(postgres, old, cloud_sql, monkeypatch):
    cloud_sql.fails = True

    with pytest.raises(
        backup.BackupFailed, match="backup 1700 of mlflow-1a2b ended as FAILED: no room"
    ):
        main(monkeypatch, postgres, old, **{INSTANCE: CONNECTION_NAME})

    assert postgres.revision(old) == one_before_head()


def test_a_current_database_needs_no_backup(postgres, current, cloud_sql, monkeypatch):
    main(monkeypatch, postgres, current, **{INSTANCE: CONNECTION_NAME})

    assert cloud_sql.asked == []


def test_a_failed_upgrade_changes_nothing_and_prints_how_to_restore(
    postgres, old, cloud_sql, monkeypatch, caplog
):
    postgres.execute(old, "CREATE TABLE job_locks (in_the_way int)", role="owner")

    with pytest.raises(SystemExit) as ended:
        main(monkeypatch, postgres, old, **{INSTANCE: CONNECTION_NAME})

    assert ended.value.code == 1
    assert postgres.revision(old) == one_before_head()
    assert "The schema is unchanged, so servers of the old version go on." in caplog.text
    assert (
        "gcloud sql backups restore 1700 --restore-instance=mlflow-1a2b --project=project"
        in caplog.text
    )


def test_a_database_of_a_newer_mlflow_is_refused_untouched(
    postgres, old, cloud_sql, monkeypatch, caplog
):
    postgres.execute(old, "UPDATE alembic_version SET version_num = 'f00dfeed'")

    with pytest.raises(SystemExit) as ended:
        main(monkeypatch, postgres, old, **{INSTANCE: CONNECTION_NAME})

    assert ended.value.code == 1
    assert "schema f00dfeed, which this MLflow does not know: a newer version" in caplog.text
    assert cloud_sql.asked == []


def test_a_database_that_answers_late_is_waited_for(postgres, old, monkeypatch, caplog):
    caplog.set_level("INFO")
    postgres.execute("postgres", f"ALTER DATABASE {old} ALLOW_CONNECTIONS false")

    def open_it(_seconds):
        postgres.execute("postgres", f"ALTER DATABASE {old} ALLOW_CONNECTIONS true")

    monkeypatch.setattr(migration.time, "sleep", open_it)
    main(monkeypatch, postgres, old)

    assert "The database cannot be reached yet" in caplog.text
    assert postgres.revision(old) == head()


def test_a_database_that_never_answers_ends_it_with_the_databases_own_words(
    postgres, monkeypatch, caplog
):
    monkeypatch.setattr(migration, "REACH_SECONDS", 0)

    with pytest.raises(SystemExit) as ended:
        main(monkeypatch, postgres, "nowhere")

    assert ended.value.code == 1
    assert "The database cannot be reached: " in caplog.text
    assert 'database "nowhere" does not exist' in caplog.text


def test_a_project_name_may_hold_a_domain():
    instance = backup.Instance.named("example.com:project:europe-west4:mlflow")

    assert instance == backup.Instance("example.com:project", "mlflow")


def test_a_url_without_our_driver_says_what_to_write():
    bare = "postgresql://owner:hunter2@db.example.com/mlflow"

    with pytest.raises(migration.MigrationFailed, match=r"Write postgresql\+psycopg2://") as failed:
        migration.migrate(bare, runtime_role=None, instance=None)
    assert "hunter2" not in str(failed.value)
