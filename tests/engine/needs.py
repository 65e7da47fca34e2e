"""What each request could not have done without, from the cloud's own journal."""

from .cloud.world import built
from .stack import Stack


def needed(stack: Stack) -> dict[str, frozenset[str]]:
    """What each request could not have done without; a build counts for the image that asked."""
    images = {built(r.get("outputs", {}).get("reference", "")): r["urn"] for r in stack.resources()}
    entries = [*stack.cloud.journal.done("create"), *stack.cloud.journal.done("build")]
    return {
        images.get(e.urn, e.urn): frozenset(images.get(urn, urn) for urn in e.needed)
        for e in entries
    }
