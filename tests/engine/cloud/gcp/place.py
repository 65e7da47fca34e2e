"""Where a resource lives, with the provider's own project as the default."""

import hashlib

from ..wire import Inputs
from ..world import World


def project(world: World, inputs: Inputs) -> str:
    """The resource's project."""
    return str(inputs.get("project") or world.project)


def link(service: str, path: str) -> str:
    """The address by which Google's APIs refer to a resource."""
    return f"https://www.googleapis.com/{service}/v1/{path}"


def last(reference: str) -> str:
    """The short name at the end of an id or a link."""
    return reference.rstrip("/").rsplit("/", 1)[-1]


def digits(of: str, count: int = 8) -> str:
    """A stable stand-in for something that Google chooses."""
    return hashlib.sha256(of.encode()).hexdigest()[:count]


def address(of: str) -> str:
    """A stable private address."""
    return "10.200." + ".".join(str(1 + int(pair, 16) % 250) for pair in (of[:2], of[2:4]))
