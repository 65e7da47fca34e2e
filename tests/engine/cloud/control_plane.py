"""What happens to resources, whoever asks: looked up, refused, made, changed and taken away."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from .clock import Clock
from .faults import Fault
from .journal import Entry, Journal
from .kind import Kind
from .refusal import NotReadyError, RefusedError, google
from .thing import Thing
from .wire import Inputs, at
from .world import Visit, World


class ControlPlane:
    """Acts on the world as a table of kinds says, and takes its time."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        world: World,
        clock: Clock,
        journal: Journal,
        faults: Sequence[Fault],
    ) -> None:
        self.kinds, self.world = kinds, world
        self.clock, self.journal, self.faults = clock, journal, faults

    def kind(self, token: str) -> Kind:
        """Look up a type; a type that nobody described is refused, not waved through."""
        if token not in self.kinds:
            raise RefusedError(
                f"the stand-in cloud does not know {token}: describe it in tests/engine/cloud"
            )
        return self.kinds[token]

    def reach(self, visit: Visit | None = None) -> None:
        """Refuse when the API itself cannot be reached."""

    def awaits(self, thing: Thing) -> bool:
        """Say whether the provider waits until the object is ready."""
        return True

    def create(self, entry: Entry, inputs: Inputs) -> Thing:
        """Make a resource, and wait until it is ready."""
        kind = self.kind(entry.token)
        with self.world.lock:
            fault = next((f for f in self.faults if f.strikes(kind.token)), None)
            if fault and not fault.leaves_it:
                raise RefusedError(fault.message)
            visit = self.admit(kind, entry.urn, inputs)
            entry.needed |= visit.needed
            thing = Thing(entry.token, kind.id(self.world, inputs), entry.urn, inputs)
            if (thing.token, thing.id) in self.world.things and not kind.adopts:
                raise google(409, f"The resource '{thing.id}' already exists, alreadyExists")
            self.world.things[thing.token, thing.id] = thing
        self.clock.spend(kind.seconds)
        with self.world.lock:
            thing.outputs = {**visible(inputs), **kind.computed(self.world, inputs)}
        if fault:
            raise NotReadyError(thing.id, thing.outputs, [fault.message])
        self._finish(kind, thing, visit)
        entry.needed |= visit.needed
        return thing

    def update(self, entry: Entry, id: str, inputs: Inputs) -> Thing:
        """Change a resource, and wait until it is ready again."""
        kind = self.kind(entry.token)
        with self.world.lock:
            thing = self._existing(entry.token, id)
            visit = self.admit(kind, entry.urn, inputs)
            entry.needed |= visit.needed
        self.clock.spend(kind.seconds_to_update)
        with self.world.lock:
            merged = updated(thing.outputs, thing.inputs, inputs)
            thing.inputs = inputs
            thing.outputs = {**merged, **kind.computed(self.world, inputs)}
        self._finish(kind, thing, visit)
        entry.needed |= visit.needed
        return thing

    def delete(self, kind: Kind, id: str) -> None:
        """Take a resource away, unless something uses it."""
        with self.world.lock:
            self.reach()
            thing = self.world.things.get((kind.token, id))
            if thing is None:
                return  # it went with what it was part of, and the real provider does not mind
            for user, path in self._users(thing):
                if path != self.kind(user.token).part_of:
                    raise google(
                        400,
                        f"The resource '{thing.id}' is already being used by '{user.id}' "
                        f"({path}), resourceInUseByAnotherResource",
                    )
            kind.release(self.world, thing)
            thing.usable = False
        self.clock.spend(kind.seconds_to_delete)
        with self.world.lock:
            kind.deleted(self.world, thing)
            self._forget(thing)

    def _forget(self, thing: Thing) -> None:
        self.world.things.pop((thing.token, thing.id), None)
        for part, _ in list(self._users(thing)):
            self._forget(part)

    def admit(self, kind: Kind, urn: str, inputs: Inputs) -> Visit:
        """Refuse what cannot be, and note what it is that lets it be."""
        visit = Visit(self.world, urn, inputs)
        self.reach(visit)
        if kind.api:
            visit.need_api(kind.api)
        for path, token in kind.references.items():
            reference = at(inputs, path)
            if reference is not None:
                visit.need(token, reference)
        kind.admit(visit)
        return visit

    def _finish(self, kind: Kind, thing: Thing, visit: Visit) -> None:
        if kind.ready and self.awaits(thing):
            self._await(kind.ready, thing, visit)
        with self.world.lock:
            thing.usable = True
            kind.created(self.world, thing)

    def _await(self, ready: Callable[[Visit], list[str]], thing: Thing, visit: Visit) -> None:
        while reasons := ready(visit):
            if not self.clock.still_hoping():
                raise NotReadyError(thing.id, thing.outputs, reasons)

    def _users(self, thing: Thing) -> Iterator[tuple[Thing, str]]:
        for kind in self.kinds.values():
            for path, token in kind.references.items():
                if token == thing.token:
                    for user in self.world.users(kind.token, path, thing):
                        yield user, path

    def _existing(self, token: str, id: str) -> Thing:
        thing = self.world.things.get((token, id))
        if thing is None:
            raise google(404, f"The resource '{id}' was not found, notFound")
        return thing


def visible(inputs: Inputs) -> Inputs:
    """Without what providers note for themselves."""
    return {key: value for key, value in inputs.items() if not key.startswith("__")}


def updated(outputs: Inputs, old: Inputs, new: Inputs) -> Inputs:
    """What the cloud computed stays known through an update in place."""
    kept = {key: value for key, value in outputs.items() if key not in old}
    return {**kept, **visible(new)}
