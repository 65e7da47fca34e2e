"""MLflow's store of users and their rights, asked once for what each request asks several times.

What it knows is some seconds old at most, and gone as soon as anything is written through it.
"""

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.server import handlers
from mlflow.server.auth.entities import User
from mlflow.server.auth.permissions import RESOURCE_TYPE_WORKSPACE, VALID_RESOURCE_TYPES
from mlflow.server.auth.sqlalchemy_store import RoleGrantRow, SqlAlchemyStore
from mlflow.store.db.utils import _get_managed_session_maker
from sqlalchemy.orm import Session, sessionmaker
from werkzeug.security import check_password_hash

from .memory import MOST, Memory

NOBODY = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)

Sessions = Callable[..., AbstractContextManager[Session]]


class RememberingStore(SqlAlchemyStore):
    """MLflow's, with a memory. It shares the connections of the tracking store."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._key = secrets.token_bytes(32)
        self._fitting: set[tuple[str, bytes]] = set()

    def init_db(self, db_uri: str, read_db_uri: str | None = None) -> None:
        """Compare the schema with MLflow's, and let go of the connection that this took."""
        super().init_db(db_uri, read_db_uri)  # type: ignore[no-untyped-call]
        self.engine.dispose()
        self.engine = handlers._get_tracking_store().engine  # type: ignore[attr-defined]
        self.ManagedSessionMaker = self._noted(
            _get_managed_session_maker(sessionmaker(bind=self.engine), self.db_type)
        )

    def _noted(self, sessions: Sessions) -> Sessions:
        """Sessions after which nothing is known any more, if they may have written."""

        @contextmanager
        def session(read_only: bool = True) -> Iterator[Session]:
            try:
                with sessions(read_only=read_only) as opened:
                    yield opened
            finally:
                if not read_only:
                    self.memory.forget()

        return session

    def get_user(self, username: str) -> User:
        """Who has a name."""
        look_up = partial(super().get_user, username)
        if not isinstance(username, str):
            return look_up()
        return self.memory.recall(("user", username), look_up)

    def authenticate_user(self, username: str, password: str, *, use_primary: bool = False) -> bool:
        """Whether it is the user's password. What is only remembered turns nobody away."""
        if use_primary or not isinstance(username, str) or not isinstance(password, str):
            return bool(super().authenticate_user(username, password, use_primary=use_primary))
        try:
            known = self.get_user(username).password_hash
            if self._fits(known, password):
                return True
            self.memory.forget()
            stored = self.get_user(username).password_hash
        except MlflowException as error:
            if error.error_code == NOBODY:
                return False
            raise
        return stored != known and self._fits(stored, password)

    def sealed(self, secret: str) -> bytes:
        """What a secret is remembered by: a hash, of no use without the key of this process."""
        return hashlib.blake2b(secret.encode(), key=self._key).digest()

    def _fits(self, stored: str, password: str) -> bool:
        """Whether a password belongs to what is stored, which takes a tenth of a second to find.

        It stays true for ever. What is stored of whom is asked again.
        """
        pair = stored, self.sealed(password)
        if pair in self._fitting:
            return True
        if not check_password_hash(stored, password):
            return False
        if len(self._fitting) >= MOST:
            self._fitting.clear()
        self._fitting.add(pair)
        return True

    def list_grants(
        self, user_id: int, workspace: str, resource_types: Collection[str]
    ) -> list[RoleGrantRow]:
        """The rights that roles give to a user."""
        kinds = {*resource_types, RESOURCE_TYPE_WORKSPACE}
        if not kinds <= VALID_RESOURCE_TYPES:
            return super().list_grants(user_id, workspace, resource_types)
        look_up = partial(super().list_grants, user_id, workspace, VALID_RESOURCE_TYPES)
        grants = self.memory.recall(("grants", user_id, workspace), look_up)
        return [each for each in grants if each.resource_type in kinds]
