"""What each request could not have done without, from the cloud's own journal."""

from collections.abc import Iterable
from typing import Any

from .cloud.journal import Journal
from .cloud.world import built


def needed(journal: Journal, resources: Iterable[dict[str, Any]]) -> dict[str, frozenset[str]]:
    """What each request could not have done without; a build counts for the image that asked."""
    images = {built(r.get("outputs", {}).get("reference", "")): r["urn"] for r in resources}
    entries = [*journal.done("create"), *journal.done("build")]
    return {
        images.get(e.urn, e.urn): frozenset(images.get(urn, urn) for urn in e.needed)
        for e in entries
    }
