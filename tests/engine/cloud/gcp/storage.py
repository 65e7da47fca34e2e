"""Buckets."""

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..refusal import RefusedError
from ..thing import Thing
from ..wire import Inputs
from ..world import World
from .iam import grant
from .place import project

BUCKET = "gcp:storage/bucket:Bucket"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
API = "storage.googleapis.com"


def _bucket(world: World, inputs: Inputs) -> Inputs:
    name = inputs["name"]
    return {
        "project": project(world, inputs),
        "projectNumber": world.number,
        "location": str(inputs["location"]).upper(),
        "selfLink": f"https://www.googleapis.com/storage/v1/b/{name}",
        "url": f"gs://{name}",
    }


def _holds_objects(world: World, bucket: Thing) -> None:
    if world.objects.get(bucket.id) and not bucket.inputs.get("forceDestroy"):
        raise RefusedError(
            f"Error trying to delete bucket {bucket.id} containing objects without "
            "`force_destroy` set to true"
        )


KINDS = (
    Kind(
        token=BUCKET,
        id=lambda world, inputs: str(inputs["name"]),
        seconds=2,  # answers at once
        seconds_to_delete=5,
        api=API,
        replaced_by=replaced(
            "name",
            "location",
            "customPlacementConfig",
            "hierarchicalNamespace",
            "enableObjectRetention",
        ),
        computed=_bucket,
        release=_holds_objects,
        deleted=lambda world, bucket: world.objects.pop(bucket.id, None),
    ),
    grant(BUCKET_MEMBER, "bucket", {"bucket": BUCKET}, API),
)
