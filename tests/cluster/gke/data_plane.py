"""What the stand-in cloud makes exists for real, as far as pods use it."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from tests.cluster.cloud_sql import CloudSql
from tests.engine.cloud.gcp import iam, sql, storage
from tests.engine.cloud.kind import Kind
from tests.engine.cloud.thing import Thing
from tests.engine.cloud.world import World

from .object_store import ObjectStore

CONNECTS = "roles/cloudsql.client"


class DataPlane:
    """One Cloud SQL instance and Cloud Storage, for as long as the `with` lasts.

    The program asks for them as it does on Google Cloud: it names the databases, users, grants and
    buckets, and nothing is there that it did not ask for.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._connecting: set[str] = set()
        self._sql: CloudSql | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Not one of pytest's: Postgres is somebody else where we are root, and each pytest that
            # starts on this machine closes the folder of them all to others.
            self._folder = Path(stack.enter_context(TemporaryDirectory()))
            self.storage = stack.enter_context(
                ObjectStore(self.address, self._folder / "storage.log")
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    @property
    def sql(self) -> CloudSql:
        """The instance, once the program has made it."""
        assert self._sql is not None, "the program has made no instance"
        return self._sql

    def kinds(self, kinds: Mapping[str, Kind]) -> dict[str, Kind]:
        """The cloud's types of resources; of some, more is made than a note that they exist."""
        made: dict[str, Callable[[Thing], None]] = {
            sql.INSTANCE: self._instance,
            sql.DATABASE: lambda thing: self.sql.postgres.create_database(thing.inputs["name"]),
            sql.USER: self._user,
            iam.PROJECT_MEMBER: self._grant,
            storage.BUCKET: lambda thing: self.storage.create_bucket(thing.inputs["name"]),
        }
        return {**kinds, **{token: _with(kinds[token], make) for token, make in made.items()}}

    def _instance(self, thing: Thing) -> None:
        folder = self._folder / "sql"
        folder.mkdir()
        name = thing.outputs["connectionName"]
        instance = CloudSql(name, folder, self._connecting, self.address)
        self._sql = self._stack.enter_context(instance)

    def _user(self, thing: Thing) -> None:
        user = thing.inputs
        if user.get("type") == "CLOUD_IAM_SERVICE_ACCOUNT":
            self.sql.postgres.create_account(user["name"])
        else:
            self.sql.postgres.create_user(user["name"], user["password"])

    def _grant(self, thing: Thing) -> None:
        if thing.inputs["role"] == CONNECTS:
            self._connecting.add(thing.inputs["member"].removeprefix("serviceAccount:"))


def _with(kind: Kind, make: Callable[[Thing], None]) -> Kind:
    def created(world: World, thing: Thing) -> None:
        kind.created(world, thing)
        make(thing)

    return replace(kind, created=created)
