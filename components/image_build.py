"""A container image in a registry, built only if nobody built the same before."""

from typing import Any

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
)

from .build_context import BuildContext
from .image_builders import Builder, CloudBuild, Docker, NotBuilt

IDENTITY = ("image", "tag")
"""What makes it another image. Who builds it does not."""


def builder(props: dict[str, Any]) -> Builder:
    """Who builds, by the resource's inputs."""
    chosen = props.get("builder")  # the engine drops what is None
    return CloudBuild(**chosen) if chosen else Docker()


def ensure(props: dict[str, Any]) -> str:
    """Return the digest of the image, built now if the registry does not have it."""
    image, tag = props["image"], props["tag"]
    who = builder(props)
    if not (digest := who.digest(image, tag)):
        context = BuildContext(props["folder"], props["arguments"])
        if context.tag != tag:
            raise NotBuilt(f"{props['folder']}/ has changed since `up` began. Type: pulumi up")
        who.build(context, image, tag)
        digest = who.digest(image, tag)
    if not digest:
        raise NotBuilt(f"{image}:{tag} was built, but the registry does not have it.")
    return digest


class ImageProvider(ResourceProvider):
    """Holds no value: an instance of it is pickled into the state."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Build, unless the registry has it. Not called in a preview."""
        image, digest = props["image"], ensure(props)
        return CreateResult(f"{image}:{props['tag']}", {**props, "reference": f"{image}@{digest}"})

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another content is another image, made before the old one is let go."""
        changed = [key for key in IDENTITY if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Notice that the registry has lost it, so that the next `up` builds it again."""
        digest = builder(props).digest(props["image"], props["tag"])
        if digest is None:
            return ReadResult("", {})
        return ReadResult(id_, {**props, "reference": f"{props['image']}@{digest}"})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Keep it: other stacks may run the same digest, and a roll back wants the old one.

        The repository's clean-up policy removes what is old.
        """


class ImageBuild(Resource, module="images", name="Image"):
    """An image whose tag is the hash of its content."""

    reference: Output[str]
    """By digest, as pods name it."""

    def __init__(
        self,
        name: str,
        image: Input[str],
        context: BuildContext,
        builder: dict[str, Input[str]] | None,
        opts: ResourceOptions | None = None,
    ) -> None:
        """`builder` holds what `CloudBuild` takes; without it Docker builds."""
        props = {
            "image": image,
            # Read from disk, in a preview too: that is how it knows what would be built.
            "tag": context.tag,
            "folder": context.folder,
            "arguments": dict(context.arguments),
            "builder": builder,
            "reference": None,
        }
        super().__init__(ImageProvider(), name, props, opts)
