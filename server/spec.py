"""The one place that knows MLflow's flags: settings in, command, environment and size out.

Every platform runs the same command with the same environment; only names and addresses differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from settings import Refused, settings

from . import metrics_contract
from .auth import contract

MLFLOW_VERSION = "3.17.2"
"""Equal to the pin in `server/requirements.txt`; a test holds the two together."""

ENGINES_PER_WORKER = 2
"""A worker opens one connection pool for the tracking store and one for the model registry."""

ENGINES_OF_A_LOGIN = {"tuned": 0, "stock": 1}
"""MLflow opens one more pool where users log in; ours asks through the tracking store's."""

PARENT_CONNECTIONS = 2
"""`mlflow server` asks both stores before it starts the workers. On Linux it lets go again."""

MIGRATION_CONNECTIONS = 4
"""What the migration Job may hold while the old pods still serve."""

SURGE_REPLICAS = 1
"""A rolling update starts one new pod before it ends an old one."""

DRAIN_SECONDS = 30
"""How long a stopping server may finish the requests that it has accepted."""

KEEP_ALIVE_SECONDS = 620
"""How long a connection may be idle. Google's load balancers send on one that was idle for 600
seconds; uvicorn's 5 seconds are shorter than what a training program does between two requests, and
whoever sends in the moment of the end gets no answer."""

UPLOAD_CHUNK_BYTES = 16 * 2**20
"""Per upload to the bucket. Unset, the client library holds 100 MiB of each upload in memory."""

MALLOC = {
    # Python's table of interned strings takes 7 MiB here, and is made anew as requests use it up.
    # As a mapping of its own it is given back each time. By default malloc, having seen one end,
    # takes the next from what the thread at hand keeps: one thread after the other keeps 7 MiB, or
    # 16 of an upload.
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
    # With the above alone it would be 128 KiB, which each long answer gives back and asks for anew.
    "MALLOC_TRIM_THRESHOLD_": str(8 * 2**20),
}
"""What glibc reads; elsewhere they are ignored."""

S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Variables of who the server is at `s3://`; Secrets that others make have keys of these names."""

CONNECTION = "server.connection:Connection"
"""By its name: what starts the server need not have uvicorn."""

METRICS_PORT = 9464
"""Where a pod tells how many requests it has answered: what Prometheus exporters of OpenTelemetry
listen on. 9090 is the SQL proxy's."""

Engine = Literal["tuned", "stock"]

Auth = Literal["none", "basic"]

ADMIN = contract.ADMIN
"""The user who may do everything."""

PROGRAMS: dict[Engine, tuple[str, ...]] = {
    # -P: no module is taken from the folder that it runs in.
    "tuned": ("python", "-P", "-m", "server.launch"),
    "stock": ("mlflow", "server"),
}
STOCK_WITH_LOGIN = ("python", "-P", "-m", "server.auth.stock")
"""They take the same arguments."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Size:
    """What one word of the stack file stands for."""

    min_replicas: int
    max_replicas: int
    workers: int
    pool: int
    """Connections that each engine keeps open."""
    overflow: int
    """Connections that each engine may open beyond its pool; MLflow ignores 0 and takes 10."""
    cpu: str
    """Kubernetes CPU request. There is no limit: a server may use cores that nobody asked for."""
    memory_mib: int
    """Request and limit. Idle, two workers and the process that they are forks of take 300 MiB, and
    740 while 15 or 30 files of 100 MB are sent to them at once."""
    scratch_gib: int
    """Proxied artifacts pass through a file on the server: largest artifact times transfers."""
    engines: int = ENGINES_PER_WORKER

    @property
    def connections(self) -> int:
        """The most Postgres connections that one replica can hold."""
        engines = self.workers * self.engines
        return engines * (self.pool + self.overflow) + PARENT_CONNECTIONS

    def with_logins(self, engine: Engine, auth: Auth) -> "Size":
        """The size, with the connections that logins take."""
        more = ENGINES_OF_A_LOGIN[engine] if auth == "basic" else 0
        return replace(self, engines=self.engines + more)

    @property
    def budget(self) -> int:
        """The most Postgres connections in a rolling update at full scale, migration included."""
        return (self.max_replicas + SURGE_REPLICAS) * self.connections + MIGRATION_CONNECTIONS


SIZES = {
    "small": Size(
        min_replicas=2,
        max_replicas=2,
        workers=2,
        pool=1,
        overflow=1,
        cpu="250m",
        memory_mib=1280,
        scratch_gib=10,
    ),
    "medium": Size(
        min_replicas=2,
        max_replicas=4,
        workers=2,
        pool=3,
        overflow=2,
        cpu="1",
        memory_mib=1536,
        scratch_gib=20,
    ),
    "large": Size(
        min_replicas=3,
        max_replicas=8,
        workers=4,
        pool=4,
        overflow=1,
        cpu="2",
        memory_mib=2560,
        scratch_gib=50,
    ),
}


@settings
class ServerSettings:
    """How much server a stack runs."""

    engine: Engine = "tuned"
    """`stock` steps back to plain `mlflow server`, which takes more memory and more CPU."""
    size: Literal["small", "medium", "large"] = "small"
    """Replicas, workers, connections, CPU and memory in one word; the keys below override some."""
    min_replicas: Annotated[int, Field(ge=1, le=50)] | None = None
    """Pods that always run. Two or more survive the loss of a node."""
    max_replicas: Annotated[int, Field(ge=1, le=50)] | None = None
    """Pods that the autoscaler may run when the CPU is busy."""

    def __post_init__(self) -> None:
        chosen = self.chosen
        if chosen.min_replicas > chosen.max_replicas:
            raise Refused(
                "minReplicas",
                f"{chosen.min_replicas} pods at least are more than {chosen.max_replicas} at most",
                given=chosen.min_replicas,
                allowed=f"1 to {chosen.max_replicas} (server.maxReplicas)",
                cure=str(chosen.max_replicas),
            )

    @property
    def chosen(self) -> Size:
        """The size, with the overrides applied."""
        size = SIZES[self.size]
        return replace(
            size,
            min_replicas=self.min_replicas or size.min_replicas,
            max_replicas=self.max_replicas or size.max_replicas,
        )


@settings
class LoginSettings:
    """What users may do, where they log in."""

    default_permission: Literal["NO_PERMISSIONS", "READ", "EDIT", "MANAGE"] = "READ"
    """What everybody may do with what others made. Who makes something may always manage it."""
    cache_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """How long other workers may go by an old password or right. 0 asks the database each time."""


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """One MLflow server, wherever it runs."""

    size: Size
    host: str
    """Address to listen on: every one in a pod, loopback on a laptop."""
    port: int
    names: Sequence[str]
    """Every host name by which it is called. MLflow answers 403 to any other."""
    origins: Sequence[str] = ()
    """`https://name` of every page that calls it; browsers send it even from its own pages.

    Pages on localhost are always allowed.
    """
    artifact_access: Literal["proxied", "direct"] = "proxied"
    """Through the server, or by clients that have rights on the bucket."""
    engine: Engine = "tuned"
    """With our launcher, bridge and store, or with nothing but MLflow's."""
    auth: Auth = "none"
    """Whether users log in."""
    login: LoginSettings = LoginSettings()
    metrics: int | None = None
    """Port at which it is to tell of its requests, to whoever asks, without a login."""

    @property
    def metrics_port(self) -> int | None:
        """Port at which it does: plain MLflow counts nothing."""
        return self.metrics if self.engine == "tuned" else None

    def command(self) -> list[str]:
        """What the container or the laptop runs. Nothing in it is secret."""
        plain = (self.engine, self.auth) != ("stock", "basic")
        return [
            *(PROGRAMS[self.engine] if plain else STOCK_WITH_LOGIN),
            # Flags where the environment could be spoiled: Kubernetes sets MLFLOW_PORT to an
            # address in every pod beside a Service that is called `mlflow`.
            f"--host={self.host}",
            f"--port={self.port}",
            f"--workers={self.size.workers}",
            "--serve-artifacts" if self.artifact_access == "proxied" else "--no-serve-artifacts",
            # uvloop: without it uvicorn with several workers leaves Nagle's algorithm on, and
            # every sequential request waits 40 ms.
            "--uvicorn-opts="
            f"--loop uvloop --http {CONNECTION} --no-access-log "
            f"--timeout-keep-alive {KEEP_ALIVE_SECONDS} "
            f"--timeout-graceful-shutdown {DRAIN_SECONDS}",
            *([f"--app-name={contract.APP}"] if self.auth == "basic" else []),
        ]

    def environment(self) -> dict[str, str]:
        """What is the same whatever the stores are called. Nothing in it is secret."""
        return {
            # A list of our own replaces MLflow's, which knows localhost and private addresses
            # only; a name with a port is another name.
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(
                pattern for name in self.names for pattern in (name, f"{name}:*")
            ),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(self.origins),
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(self.size.pool),
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(self.size.overflow),
            "MLFLOW_GCS_UPLOAD_CHUNK_SIZE": str(UPLOAD_CHUNK_BYTES),
            # Eight more processes and 1.4 GiB per pod, for evaluations that tracking never asks.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **MALLOC,
            **(self._login() if self.auth == "basic" else {}),
            **({metrics_contract.PORT: str(self.metrics_port)} if self.metrics_port else {}),
        }

    def _login(self) -> dict[str, str]:
        return {
            contract.DEFAULT_PERMISSION: self.login.default_permission,
            contract.CACHE_SECONDS: str(self.login.cache_seconds),
        }

    def login_secrets(self, password: T, key: T) -> dict[str, T]:
        """What pages are signed with: any long text, the same for every replica.

        Plain MLflow is also told the first password of `ADMIN`, of twelve characters or more: it
        does not start without it where somebody has deleted that user.
        """
        first = {contract.ADMIN_PASSWORD: password} if self.engine == "stock" else {}
        return {**first, contract.KEY: key}

    def stores(self, backend: T, artifacts: T) -> dict[str, T]:
        """Where the runs and the artifacts are, under the names that MLflow reads.

        `backend` is a SQLAlchemy URL that names its driver (`postgresql+psycopg2://`): it may
        carry a password, so it belongs in a Secret. `artifacts` is a URI such as `gs://bucket/x`.
        """
        root = (
            "ARTIFACTS_DESTINATION"
            if self.artifact_access == "proxied"
            else "DEFAULT_ARTIFACT_ROOT"
        )
        return {"MLFLOW_BACKEND_STORE_URI": backend, f"MLFLOW_{root}": artifacts}

    @staticmethod
    def s3(endpoint: T | None, region: T | None) -> dict[str, T | str]:
        """Where `s3://` is: at `endpoint`, or at Amazon. Nothing in it is secret."""
        if endpoint is None:
            return {} if region is None else {"AWS_DEFAULT_REGION": region}
        return {
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
            # Signatures need one, also for stores that know no regions.
            "AWS_DEFAULT_REGION": "us-east-1" if region is None else region,
            # Amazon's client adds checksums by itself that older stores of others refuse.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    @staticmethod
    def s3_keys(key: T, secret: T) -> dict[str, T]:
        """Who the server is at `s3://`."""
        return dict(zip(S3_KEYS, (key, secret), strict=True))

    @staticmethod
    def google_key(file: str) -> dict[str, str]:
        """Who the server is at `gs://`, where the cluster itself is nobody there."""
        return {"GOOGLE_APPLICATION_CREDENTIALS": file}
