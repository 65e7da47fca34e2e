"""From one MLflow to the next, while scientists work: the schema first, then the servers."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
from alembic.script import ScriptDirectory

from components.postgres import DATABASE, OWNER
from server.pod import SERVER

from . import laboratory
from .laboratory import FIRST_ANSWERS
from .stack import Refusal, Stack

SCRIPTS = Path(mlflow.__file__).parent / "store" / "db_migrations"
NEXT = "0123456789ab"
"""The schema of an MLflow that is still to come."""

REVISION = '''\
"""What the next MLflow does to the database."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "{revision}", "{head}"
branch_labels = depends_on = None


def upgrade():
    op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True))
'''

LAYERS = """
USER 0
COPY next.py /app/
RUN cp /app/next.py /opt/mlflow/lib/python3*/site-packages/mlflow/store/db_migrations/versions/
USER 65532:65532
"""

AT_ONCE = 3


def head() -> str:
    return str(ScriptDirectory(str(SCRIPTS)).get_current_head())


def sql(stack: Stack, statement: str) -> str:
    """Run a statement as the database's superuser, who only exists in its pod."""
    (database,) = stack.pods("database")
    psql = ["psql", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    return stack.kubectl(
        *("exec", "--stdin", database["metadata"]["name"], "--container=postgres", "--"),
        *(*psql, "--username=postgres", f"--dbname={DATABASE}"),
        stdin=statement,
    ).strip()


def images(stack: Stack) -> dict[str, str]:
    """What each server runs, by the server's name."""
    return {
        pod["metadata"]["name"]: container["image"]
        for pod in stack.pods()
        for container in pod["spec"]["containers"]
        if container["name"] == SERVER
    }


def revision(stack: Stack) -> str:
    return sql(stack, "SELECT version_num FROM alembic_version")


def next_version(stack: Stack, *, table: str) -> None:
    """Have the stack's program build an MLflow that wants one more table."""
    folder = stack.program / "server"
    code = REVISION.format(revision=NEXT, head=head(), table=table)
    (folder / "next.py").write_text(code)
    dockerfile = folder / "Dockerfile"
    if LAYERS not in dockerfile.read_text():
        dockerfile.write_text(dockerfile.read_text() + LAYERS)
        with (folder / ".dockerignore").open("a") as ignore:
            ignore.write("!next.py\n")


@contextmanager
def nothing_in_sight(stack: Stack) -> Iterator[None]:
    """The role that migrates finds a schema of its own, and no table in it."""
    everywhere = f"ALTER ROLE {OWNER} IN DATABASE {DATABASE}"
    name = f"empty_{secrets.token_hex(3)}"
    sql(stack, f"CREATE SCHEMA {name} AUTHORIZATION {OWNER}; {everywhere} SET search_path = {name}")
    try:
        yield
    finally:
        sql(stack, f"{everywhere} RESET search_path; DROP SCHEMA {name} CASCADE")


def test_migrations_that_start_at_the_same_time_on_an_empty_database_make_the_schema_once(stack):
    (job,) = stack.objects("jobs")
    name = f"migrations-{secrets.token_hex(3)}"
    template: dict[str, Any] = job["spec"]["template"]
    template["metadata"]["labels"] = job["metadata"]["labels"]
    together = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "parallelism": AT_ONCE,
            "completions": AT_ONCE,
            "backoffLimit": 0,
            "template": template,
        },
    }
    with nothing_in_sight(stack):
        stack.kubectl("apply", "--filename=-", stdin=json.dumps(together))
        try:
            stack.kubectl("wait", f"job/{name}", "--for=condition=Complete", "--timeout=180s")
            told = stack.kubectl(
                "logs", f"--selector=batch.kubernetes.io/job-name={name}", "--tail=-1"
            )
        finally:
            stack.kubectl("delete", "job", name)

    assert told.count(f"Upgraded to {head()}") == 1
    assert told.count(f"The schema is current ({head()})") == AT_ONCE - 1


def test_a_failed_migration_ends_the_update_with_its_last_words_and_leaves_the_servers(stack):
    before = images(stack)
    next_version(stack, table="runs")  # there is one

    with laboratory.opened(stack, "write") as scientists:
        scientists.see(FIRST_ANSWERS)
        with pytest.raises(Refusal) as refusal:
            stack.up()
        scientists.see(FIRST_ANSWERS)
        scientists.close()

        assert scientists.faults == []

    said = str(refusal.value)
    assert f"Upgrade failed: MLflow schema {head()} to {NEXT}." in said
    assert "The schema is unchanged, so servers of the old version go on." in said
    assert images(stack) == before, "the same pods"
    assert revision(stack) == head()


def test_the_next_update_upgrades_the_schema_and_every_server_and_loses_no_request(stack):
    before = images(stack)
    next_version(stack, table="next")

    with laboratory.opened(stack, "write") as scientists:
        scientists.see(FIRST_ANSWERS)
        stack.up()
        scientists.see(FIRST_ANSWERS)
        scientists.close()

        assert scientists.faults == []

    after = images(stack)
    assert revision(stack) == NEXT
    assert len(after) == len(before)
    assert not set(after) & set(before)
    assert not set(after.values()) & set(before.values())
