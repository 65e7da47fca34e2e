"""Image repositories."""

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..wire import Inputs
from ..world import World
from .iam import grant
from .place import project

REPOSITORY = "gcp:artifactregistry/repository:Repository"
REPOSITORY_MEMBER = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
API = "artifactregistry.googleapis.com"


def _id(world: World, inputs: Inputs) -> str:
    where = f"projects/{project(world, inputs)}/locations/{inputs['location']}"
    return f"{where}/repositories/{inputs['repositoryId']}"


def _repository(world: World, inputs: Inputs) -> Inputs:
    host = f"{inputs['location']}-docker.pkg.dev"
    return {
        "name": inputs["repositoryId"],
        "project": project(world, inputs),
        "registryUri": f"{host}/{project(world, inputs)}/{inputs['repositoryId']}",
    }


KINDS = (
    Kind(
        token=REPOSITORY,
        id=_id,
        seconds=10,  # a long-running operation of a few seconds
        api=API,
        replaced_by=replaced("repositoryId", "location", "format", "kmsKeyName", "mode"),
        computed=_repository,
        deleted=lambda world, repository: world.images.clear(),
        auto_name=None,
    ),
    grant(REPOSITORY_MEMBER, "repository", {"repository": REPOSITORY}, API),
)
