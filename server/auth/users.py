"""Where MLflow's login keeps its users, and the first of them."""

from alembic import command
from alembic.config import Config
from mlflow.server import auth
from mlflow.store.db.utils import _get_managed_session_maker
from sqlalchemy import Connection
from sqlalchemy.orm import sessionmaker

from ..schema import MLFLOW, Schema
from .contract import ADMIN

SCRIPTS = MLFLOW / "server" / "auth" / "db" / "migrations"


def upgrade(url: str) -> None:
    """Do as MLflow does at each start, on one connection."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


USERS = Schema("schema of users", SCRIPTS, "alembic_version_auth", upgrade)


def make_admin(database: Connection, password: str) -> None:
    """Make the user who may do everything. One who is there already keeps their password."""
    sessions = sessionmaker(bind=database)
    auth.store.ManagedSessionMaker = _get_managed_session_maker(sessions, database.dialect.name)
    auth.create_admin_user(ADMIN, password)
