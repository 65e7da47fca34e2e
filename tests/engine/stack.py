"""One stack of the real program, driven through the real CLI against the stand-in cloud."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.program import Program, Refusal

from .cloud import StandInCloud
from .dependencies import token
from .tokens import BUCKET

__all__ = ["PROJECT", "Refusal", "Stack", "Step", "fill_buckets"]

PROJECT = "acme-ml-123456"
"""The one thing that the committed stack files for Google Cloud leave to the user."""


@dataclass(frozen=True)
class Step:
    """What a preview says will happen to one resource."""

    action: str
    type: str
    name: str
    because: tuple[str, ...]
    """The properties that force a replacement."""


class Stack(Program):
    """One on a cloud that is stood in for."""

    def __init__(
        self, name: str, folder: Path, cloud: StandInCloud, cli: Path, *, checkpoints: bool = False
    ) -> None:
        """Without checkpoints the engine writes the state when a command ends, however it does.

        To write all of it anew after each resource takes as long as the rest of an `up`.
        """
        self.cloud = cloud
        saving = {} if checkpoints else {"PULUMI_SKIP_CHECKPOINTS": "true"}
        super().__init__(name, folder, cli, {**cloud.environment, **saving})
        if "platform: gke" in (self.program / f"Pulumi.{name}.yaml").read_text():
            self.set("project", PROJECT)

    def preview(self) -> list[Step]:
        """List what an `up` would do, without what stays as it is."""
        answer = json.loads(self.pulumi("preview", "--json"))
        steps = [
            Step(
                action=step["op"],
                type=token(step["urn"]),
                name=step["urn"].rsplit("::", 1)[-1],
                because=tuple(step.get("replaceReasons") or ()),
            )
            for step in answer["steps"]
        ]
        return [step for step in steps if step.action != "same"]

    def destroy(self, *options: str) -> str:
        """Delete everything, with a preview first as a person has it."""
        return self.pulumi("destroy", "--yes", *options)

    def resources(self) -> list[dict[str, Any]]:
        """List the resources as the state holds them."""
        deployment = json.loads(self.state())["deployment"]
        return list(deployment.get("resources") or [])


def fill_buckets(stack: Stack) -> None:
    """Leave behind what builds and training runs do."""
    for bucket in stack.cloud.world.of(BUCKET):
        stack.cloud.world.objects[bucket.id] = 1
