"""APIs of the project."""

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..thing import Thing
from ..world import World
from .place import project

SERVICE = "gcp:projects/service:Service"


def _enable(world: World, thing: Thing) -> None:
    world.enabled.add(thing.inputs["service"])


def _disable(world: World, thing: Thing) -> None:
    if thing.inputs.get("disableOnDestroy"):
        world.enabled.discard(thing.inputs["service"])


KINDS = (
    Kind(
        token=SERVICE,
        id=lambda world, i: f"{project(world, i)}/{i['service']}",
        seconds=20,  # services.enable is a long-running operation; 10 to 30 s per batch
        replaced_by=replaced("service"),
        computed=lambda world, i: {"project": project(world, i)},
        created=_enable,
        deleted=_disable,
        auto_name=None,
    ),
)
