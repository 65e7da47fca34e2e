"""A container image where the nodes find it, built only if nobody built the same before."""

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
from .image_builders import Builder, CloudBuild, Docker, Loaded, NotBuilt

IDENTITY = ("image", "tag")
"""What makes it another image. Who builds it does not, unless it is handed to a cluster."""


def builder(props: dict[str, Any]) -> Builder:
    """Who builds, by the resource's inputs."""
    chosen = props.get("builder")  # the engine drops what is None
    if not chosen:
        return Docker()
    return Loaded(**chosen) if "tool" in chosen else CloudBuild(**chosen)


def ensure(props: dict[str, Any]) -> str:
    """Return the image's name for pods, built now if it is not yet where they look for it."""
    image, tag = props["image"], props["tag"]
    who = builder(props)
    if not (reference := who.reference(image, tag)):
        context = BuildContext(props["folder"], props["arguments"], props.get("architecture"))
        if context.tag != tag:
            raise NotBuilt(f"{props['folder']}/ has changed since `up` began. Type: pulumi up")
        who.build(context, image, tag)
        reference = who.reference(image, tag)
    if not reference:
        raise NotBuilt(f"{image}:{tag} was built, but {who.place} does not have it.")
    return reference


class ImageProvider(ResourceProvider):
    """Holds no value: an instance of it is pickled into the state."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Build, unless it is there. Not called in a preview."""
        id_ = f"{props['image']}:{props['tag']}"
        return CreateResult(id_, {**props, "reference": ensure(props)})

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another content is another image, made before the old one is let go."""
        handed = "tool" in (news.get("builder") or {})
        identity = (*IDENTITY, "builder") if handed else IDENTITY
        changed = [key for key in identity if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Notice that it is there no longer, so that the next `up` builds it again."""
        reference = builder(props).reference(props["image"], props["tag"])
        if reference is None:
            return ReadResult("", {})
        return ReadResult(id_, {**props, "reference": reference})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Keep it: other stacks may run the same digest, and a roll back wants the old one.

        The repository's clean-up policy removes what is old.
        """


class ImageBuild(Resource, module="images", name="Image"):
    """An image whose tag is the hash of its content."""

    reference: Output[str]
    """As pods name it: by digest where there is a registry, else by the tag."""
    tag: Output[str]

    def __init__(
        self,
        name: str,
        image: Input[str],
        context: BuildContext,
        builder: dict[str, Input[str]] | None,
        opts: ResourceOptions | None = None,
    ) -> None:
        """`builder` holds what `CloudBuild` or `Loaded` takes; without it Docker builds."""
        props = {
            "image": image,
            # Read from disk, in a preview too: that is how it knows what would be built.
            "tag": context.tag,
            "folder": context.folder,
            "arguments": dict(context.arguments),
            "architecture": context.architecture,
            "builder": builder,
            "reference": None,
        }
        super().__init__(ImageProvider(), name, props, opts)

    @property
    def tagged(self) -> Output[str | None]:
        """The same image by its tag; nothing where no registry has it."""
        return Output.all(self.reference, self.tag).apply(lambda known: _tagged(*known))


def _tagged(reference: str, tag: str) -> str | None:
    image, digest, _ = reference.partition("@")
    return f"{image}:{tag}" if digest else None
