"""The stack file of the local platform."""

from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from server.spec import SIZES, Engine, Size
from settings import Refused, settings

PROJECT = Path(__file__).resolve().parents[1]

Port = Annotated[int, Field(ge=1024, le=65535)]
"""Lower ones belong to root."""


@settings
class PortSettings:
    """Where the three processes listen, on loopback. Stacks that run side by side share none."""

    server: Port = 5050
    """The MLflow server and its pages. Not 5000: macOS answers there itself (AirPlay)."""
    database: Port = 5051
    """Postgres."""
    objects: Port = 5052
    """The object store, which speaks Google Cloud Storage's protocol."""

    def __post_init__(self) -> None:
        taken: dict[int, str] = {}
        for name, port in vars(self).items():
            if port in taken:
                free = next(
                    p for p in range(self.server + 1, 65536) if p not in vars(self).values()
                )
                raise Refused(
                    name,
                    f"ports.{taken[port]} listens on {port} already",
                    given=port,
                    allowed="three different ports",
                    cure=str(free),
                )
            taken[port] = name


@settings
class LocalServerSettings:
    """The MLflow server: one process tree with the command that a pod of this size would run."""

    engine: Engine = "tuned"
    """`stock` steps back to plain `mlflow server`, which takes more memory and more CPU."""
    size: Literal["small", "medium", "large"] = "small"
    """Workers and database connections in one word, as on every other platform."""


@settings
class Stack:
    """Everything a local stack may choose."""

    stack: Annotated[SkipJsonSchema[str], Field(alias="pulumi:stack")]
    """The Pulumi stack's own name: not a key of the stack file, `config` fills it in."""
    platform: Literal["local"]
    """What `pulumi up` builds: processes on this machine."""
    ports: PortSettings = field(default_factory=PortSettings)
    server: LocalServerSettings = field(default_factory=LocalServerSettings)
    data_directory: Annotated[str, Field(min_length=1)] | None = None
    """Runs, models and logs. Relative to the project; by default `.local/stacks/<stack>`."""
    keep_data: bool = True
    """Whether `pulumi destroy` leaves the data directory, so that the next `up` finds every run.

    A change counts after the next `up`: `destroy` reads what `up` left in the state."""

    def __post_init__(self) -> None:
        for kept, name in ((PROJECT, "this project"), (Path.home(), "your home directory")):
            if kept.is_relative_to(self.data):
                # `keepData: false` deletes the data directory as a whole.
                raise Refused(
                    "dataDirectory",
                    f"contains {name}",
                    given=str(self.data),
                    allowed="a directory that holds nothing else",
                    cure=f".local/stacks/{self.stack}",
                )

    @property
    def data(self) -> Path:
        """The data directory, absolute."""
        return (
            PROJECT / Path(self.data_directory or f".local/stacks/{self.stack}").expanduser()
        ).resolve()

    @property
    def size(self) -> Size:
        """The server's size: one replica, because there is one machine."""
        return replace(SIZES[self.server.size], min_replicas=1, max_replicas=1)
