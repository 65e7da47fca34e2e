"""Everything that exists, and what may be asked of it."""

import threading
from collections.abc import Iterator

from .refusal import google
from .thing import Thing
from .wire import Inputs, at

BUILD = "gcloud:builds:Image"
"""Stands in for a resource type where builds are counted, timed or made to fail."""


class World:
    """The resources of one Google project and its clusters."""

    def __init__(self) -> None:
        self.project, self.number = "", "123456789012"
        self.lock = threading.RLock()
        self.things: dict[tuple[str, str], Thing] = {}
        # Cloud SQL keeps the name of a deleted instance for about a week.
        self.retired: set[tuple[str, str]] = set()
        self.enabled = {"storage.googleapis.com", "serviceusage.googleapis.com"}
        # Google makes it with a project's first cluster that has Workload Identity, and keeps it.
        self.workload_pools: set[str] = set()
        self.peerings: set[str] = set()
        self.networks_of_instances: set[str] = set()
        # Clusters that are there without Google, by the name that a kubeconfig has for them.
        self.contexts: set[str] = set()
        # What their nodes hold without having pulled it.
        self.node_images: set[str] = set()
        # Database → URN of the Job that brought its schema up to date.
        self.migrated: dict[str, str] = {}
        self.objects: dict[str, int] = {}
        # Image → tag → digest.
        self.images: dict[str, dict[str, str]] = {}

    def of(self, token: str) -> list[Thing]:
        """List the resources of one type."""
        with self.lock:
            return [thing for (kind, _), thing in self.things.items() if kind == token]

    def find(self, token: str, reference: object) -> Thing | None:
        """Look a resource up by name, id, link or email; one still being created is not found."""
        for thing in self.of(token):
            if thing.usable and reference in thing.known_as:
                return thing
        return None

    def users(self, token: str, path: str, of: Thing) -> Iterator[Thing]:
        """List the resources of a type whose input at `path` refers to `of`."""
        for thing in self.of(token):
            if at(thing.inputs, path) in of.known_as:
                yield thing


def built(image: str) -> str:
    """The URN under which the build of an image, named by digest, is in the journal."""
    return f"urn:pulumi:gcloud::builds::{BUILD}::{image}"


class Visit:
    """One request to create something: what it looks up is what it truly needs."""

    def __init__(self, world: World, urn: str, inputs: Inputs) -> None:
        self.world, self.urn, self.inputs = world, urn, inputs
        self.needed: set[str] = set()

    def need(self, token: str, reference: object) -> Thing:
        """Return the resource referred to, or refuse as Google does."""
        thing = self.world.find(token, reference)
        if thing is None:
            kind = token.rsplit(":", 1)[-1]
            raise google(404, f"The resource '{reference}' ({kind}) was not found, notFound")
        self.note(thing)
        return thing

    def note(self, *things: Thing) -> None:
        """Remember that the request could not have gone through without these."""
        self.needed.update(thing.urn for thing in things)

    def note_urn(self, urn: str) -> None:
        """Remember a need that is not a resource of the cloud's own."""
        self.needed.add(urn)

    def need_api(self, service: str) -> None:
        """Refuse unless the service is enabled in the project."""
        if service not in self.world.enabled:
            raise google(
                403,
                f"{service} has not been used in project {self.world.project} before "
                "or it is disabled. Enable it, then retry., accessNotConfigured",
            )
        self.note(
            *[
                thing
                for thing in self.world.of("gcp:projects/service:Service")
                if thing.inputs["service"] == service
            ]
        )
