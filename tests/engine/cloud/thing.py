"""One resource that exists."""

from dataclasses import dataclass, field

from .wire import Inputs, at


@dataclass
class Thing:
    """What the cloud knows of a resource; not `usable` while it is being created."""

    token: str
    id: str
    urn: str
    inputs: Inputs
    outputs: Inputs = field(default_factory=dict)
    usable: bool = False

    @property
    def known_as(self) -> set[str]:
        """Every text by which another resource may refer to this one."""
        keys = ("name", "selfLink", "email", "metadata.name", "repositoryId", "accountId")
        names = {at(self.outputs, key) for key in keys} | {self.id}
        return {name for name in names if isinstance(name, str)}
