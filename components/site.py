"""Where a stack lives and how everything in it is called and labelled."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Site:
    """The first argument of every Google component."""

    project: str
    """Google Cloud project id."""
    region: str
    zones: tuple[str, ...]
    """Zones of the region that nodes may use; a zonal cluster lives in the first."""
    name: str
    """Prefix of every physical name that a person types, for example `mlflow-dev`."""
    labels: dict[str, str]
    """On every resource that can carry labels, under whatever key its type uses."""
    protect: bool
    """Whether everything that holds data refuses to be deleted."""
