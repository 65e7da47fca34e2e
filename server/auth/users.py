"""Where MLflow's login keeps its users, and the first of them."""

from mlflow.server import auth
from mlflow.server.auth.db import utils
from mlflow.store.db.utils import _get_managed_session_maker
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.orm import sessionmaker

from ..schema import MLFLOW, Schema
from .contract import ADMIN

USERS = Schema(
    "schema of users",
    MLFLOW / "server" / "auth" / "db" / "migrations",
    "alembic_version_auth",
    lambda url: utils.migrate(create_engine(url, poolclass=NullPool), "head"),
)


def make_admin(engine: Engine, password: str) -> None:
    """Make the user who may do everything. One who is there already keeps their password."""
    sessions = sessionmaker(bind=engine)
    auth.store.ManagedSessionMaker = _get_managed_session_maker(sessions, engine.dialect.name)
    auth.create_admin_user(ADMIN, password)
