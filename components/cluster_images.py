"""The images of the server and of training, where the nodes of any cluster find them."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import pulumi
from pulumi import Input, Output, ResourceOptions
from pydantic import Field

from settings import Refused, settings

from .build_context import BuildContext
from .image_build import ImageBuild

UNREGISTERED = "localhost"
"""Before the name of an image that no registry has: who lost it must not look on the internet."""

TOOLS = ("docker-desktop", "kind", "microk8s", "minikube")


@settings
class ClusterImagesSettings:
    """How the images reach the nodes: through a registry, or handed over on this machine."""

    registry: Annotated[str, Field(min_length=1)] | None = None
    """What the images' names begin with, such as `localhost:5001/mlflow` or
    `registry.example.com/team`. Docker on this machine pushes there, and the nodes pull."""
    load: Literal["docker-desktop", "kind", "microk8s", "minikube"] | None = None
    """Instead of a registry, what runs the cluster on this machine: its nodes are handed what
    Docker has built."""
    pull_secret: Annotated[str, Field(min_length=1)] | None = None
    """Name of a Secret (`kubectl create secret docker-registry`) with which the nodes pull. It
    exists in both namespaces."""
    architecture: Literal["amd64", "arm64"] = "amd64"
    """CPU of the nodes that pull from the registry. What is loaded is for this machine."""
    tracking_base: Annotated[str, Field(min_length=1)] | None = None
    """Base image of the server. By default the one in `server/Dockerfile`."""
    training_base: Annotated[str, Field(min_length=1)] | None = None
    """Base image of training. By default the one in `training/Dockerfile`."""

    def __post_init__(self) -> None:
        if self.registry is not None and self.load is not None:
            raise Refused(
                "load",
                "hands images over without a registry, but images.registry is set",
                given=self.load,
                allowed="one of the two",
                cure="leave one of the two out",
            )
        if self.registry is not None:
            _named(self.registry)
        if self.load is not None and self.pull_secret is not None:
            raise Refused(
                "pullSecret",
                "logs in to a registry, and with images.load there is none",
                given=self.pull_secret,
                allowed="a Secret's name beside images.registry",
                cure="leave it out",
            )

    @property
    def prefix(self) -> str:
        """What the images' names begin with."""
        return self.registry or UNREGISTERED

    @property
    def pull_secrets(self) -> list[str]:
        """None, or the one."""
        return [self.pull_secret] if self.pull_secret else []


def _named(registry: str) -> None:
    """Refuse what no image's name can begin with."""
    if "://" in registry:
        why, cure = "is an address, and an image's name has no scheme", registry.split("://")[1]
    elif "@" in registry or re.search(r":[^/]*$", registry.partition("/")[2]):
        why, cure = (
            "ends in a tag, and that is the hash of the content",
            re.sub(r"(@|:[^/:]*$).*", "", registry),
        )
    elif not re.fullmatch(r"[a-z0-9.\-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", registry):
        why, cure = "is not what an image's name can begin with", registry.lower().strip("/")
    else:
        return
    raise Refused(
        "registry",
        why,
        given=registry,
        allowed="HOST[:PORT][/PATH] in lower case, such as localhost:5001/mlflow",
        cure=cure,
    )


@dataclass(frozen=True, kw_only=True)
class ClusterImagesArgs:
    """Wiring of the images."""

    settings: ClusterImagesSettings
    cluster: str
    """What the tool that loads images calls the cluster."""


class ClusterImages(pulumi.ComponentResource):
    """Two images, each built once per content."""

    tracking: Output[str]
    training: Output[str]
    training_tagged: Output[str | None]

    def __init__(self, name: str, args: ClusterImagesArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:Images", name, None, opts)
        chosen = args.settings
        builder: dict[str, Input[str]] | None = None
        if chosen.load:
            builder = {"tool": chosen.load, "cluster": args.cluster}

        def image(part: str, folder: str, **arguments: str | None) -> ImageBuild:
            return ImageBuild(
                f"{name}-{part}",
                # Not named after the stack: what is the same for two stacks is built once.
                image=f"{chosen.prefix}/mlflow-{part}",
                context=BuildContext(
                    folder,
                    {key: value for key, value in arguments.items() if value},
                    architecture=None if chosen.load else chosen.architecture,
                ),
                builder=builder,
                opts=ResourceOptions(parent=self),
            )

        self.tracking = image("tracking", "server", BASE=chosen.tracking_base).reference
        training = image(
            "training", "training", BASE=chosen.training_base, REQUIREMENTS="requirements.txt"
        )
        self.training, self.training_tagged = training.reference, training.tagged
        self.register_outputs({})
