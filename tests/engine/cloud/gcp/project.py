"""The Google provider: one project, from its configuration or from the first resource."""

from typing import Any

from ..kind import Kind
from ..provider import Provider
from ..refusal import RefusedError
from ..wire import Inputs, unpack
from ..world import Visit


class GoogleCloud(Provider):
    """Resources of one Google project."""

    package = "pulumi_gcp"

    def Configure(self, request: Any, context: Any) -> Any:
        project = unpack(request.args).get("project")
        if project:
            self.world.project = str(project)
        return super().Configure(request, context)

    def admit(self, kind: Kind, urn: str, inputs: Inputs) -> Visit:
        self.world.project = self.world.project or str(inputs.get("project") or "")
        return super().admit(kind, urn, inputs)

    def delete(self, kind: Kind, id: str) -> None:
        thing = self.world.things.get((kind.token, id))
        policy = thing.inputs.get("deletionPolicy") if thing else None
        if policy == "PREVENT":
            raise RefusedError(f"cannot destroy {id}: deletion_policy is set to PREVENT")
        if policy != "ABANDON":
            super().delete(kind, id)
