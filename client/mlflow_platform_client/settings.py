"""The backend config of `mlflow run --backend platform`: where Jobs run, and with what."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from .problem import Problem

FILE = "platform.json"
"""As `mlflow-platform connect` writes it."""

MLFLOWS_OWN = frozenset(
    {
        "ENV_MANAGER",
        "SYNCHRONOUS",
        "DOCKER_ARGS",
        "STORAGE_DIR",
        "build_image",
        "docker_auth",
    }
)
"""Keys that MLflow adds for the backends that it ships; of use here is `SYNCHRONOUS` alone."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::\d+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)


def _fixed(image: str) -> str:
    """Accept an image whose name stays with one content, as far as a name can tell."""
    named = _IMAGE.fullmatch(image)
    if named is None:
        raise ValueError("this is no name of an image, as in gcr.io/PROJECT/NAME@sha256:…")
    # Without a registry images are named by the hash of their content, so a tag may be as good.
    if named["digest"] is None and named["tag"] in (None, "latest"):
        raise ValueError("name it by digest or by a tag other than latest, which moves")
    return image


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _like(pattern: str, words: str) -> Callable[[str], str]:
    def check(given: str) -> str:
        if not re.fullmatch(pattern, given):
            raise ValueError(words)
        return given

    return check


QUANTITY = _like(r"\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?", 'an amount is like "500m", "2" or "8Gi"')
LABEL = _like("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "a namespace has small letters, digits and -")
ADDRESS = _like(r"https?://[^/@\s]+(/\S*)?", "an address is like http://NAME:80, without a login")

Image = Annotated[str, AfterValidator(_fixed)]
Quantity = Annotated[str, AfterValidator(QUANTITY)]
Label = Annotated[str, AfterValidator(LABEL)]
Address = Annotated[str, AfterValidator(ADDRESS)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        alias_generator=_kebab,
        extra="forbid",
        frozen=True,
        strict=True,
        populate_by_name=True,
    )


class Resources(_Strict):
    """What Kubernetes reserves for the Job, and the most that it may have."""

    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}


class Toleration(_Strict):
    """A taint of nodes that the Job does not mind."""

    # As Kubernetes writes it.
    model_config = ConfigDict(alias_generator=None)

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Settings(_Strict):
    """The backend config. `connect` writes what the stack knows; the rest is the scientist's."""

    namespace: Label
    image: Image
    tracking_uri: Address
    """Of the server, as Jobs beside it reach it."""
    context: str | None = None
    """Of the kubeconfig; without it, the current one."""
    kubeconfig: str | None = None
    """A path; without it, what kubectl takes."""
    service_account: str | None = None
    resources: Resources = Resources()
    gpus: Annotated[int, Field(ge=0)] = 0
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    secrets: list[str] = []
    """Of the namespace. Each of their keys is a variable of the Job: a key to somewhere else, or
    another login to the server than that of who submits."""
    backoff_limit: Annotated[int, Field(ge=0)] = 3
    """How often a Job whose machine was taken back is started again."""
    ttl_seconds: Annotated[int, Field(ge=0)] = 86_400
    """How long a Job that is over, and its log, are kept."""
    deadline_seconds: Annotated[int, Field(gt=0)] | None = None
    """How long a Job may take from its submission, waiting included."""
    wait: bool = True
    """Whether `mlflow run` shows the log and ends with the Job, or returns at once."""

    def document(self) -> dict[str, Any]:
        """As it is written to a file: what differs from the defaults."""
        return self.model_dump(by_alias=True, exclude_defaults=True)


def read(config: object) -> Settings:
    """Check a backend config, and refuse what could not work or is misspelt."""
    if not isinstance(config, Mapping) or not set(config) - MLFLOWS_OWN:
        raise Problem(
            f"--backend-config is missing. Type: mlflow run … --backend-config {FILE}, "
            "a file that `mlflow-platform connect STACK` writes"
        )
    try:
        return Settings.model_validate(
            {k: v for k, v in config.items() if k not in MLFLOWS_OWN | {"written-by"}}
        )
    except ValidationError as refused:
        raise Problem("backend config: " + "; ".join(_sentences(refused))) from refused


def _sentences(refused: ValidationError) -> list[str]:
    """One for each thing to mend."""
    found: dict[str, str] = {}
    for error in refused.errors():
        place = ".".join(map(str, error["loc"]))
        given, kind = error["input"], error["type"]
        if kind == "extra_forbidden":
            said = _unknown(error["loc"])
        elif kind == "missing":
            said = f"{place} is missing. `mlflow-platform connect STACK` writes it"
        else:
            said = f"{place} is {given!r}: {error['msg'].removeprefix('Value error, ')}"
        found.setdefault(place, said)
    return list(found.values())


def _unknown(place: tuple[int | str, ...]) -> str:
    inner: dict[str, type[_Strict]] = {"resources": Resources, "tolerations": Toleration}
    model = inner.get(str(place[0]), Settings) if len(place) > 1 else Settings
    allowed = sorted(field.alias or name for name, field in model.model_fields.items())
    key = str(place[-1])
    near = difflib.get_close_matches(key, allowed, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"unknown key {key}.{meant} Allowed: {', '.join(allowed)}"
