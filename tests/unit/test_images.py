"""The registry's repository, the builder's rights and the two images."""

import pulumi
import pytest
from pulumi import Output

from components.identities import Identity
from components.images import Images, ImagesArgs, ImagesSettings
from components.site import Site

REPOSITORY = "gcp:artifactregistry/repository:Repository"
MEMBER = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
BUCKET = "gcp:storage/bucket:Bucket"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
IMAGE = "pulumi-python:dynamic/images:Image"

SITE = Site(
    project="my-project",
    region="europe-west4",
    zones=("europe-west4-a",),
    name="mlflow-dev",
    labels={"app": "mlflow"},
    protect=False,
)


def identity(job):
    email = f"{job}@my-project.iam.gserviceaccount.com"
    return Identity(
        id=Output.from_input(job),
        email=Output.from_input(email),
        member=Output.from_input(f"serviceAccount:{email}"),
    )


def images(gpu=True, **chosen):
    settings = ImagesSettings(**chosen)
    apis = {
        api: Output.from_input("my-project")
        for api in ("artifactregistry", "cloudbuild", "storage")
    }
    args = ImagesArgs(
        site=SITE,
        apis=apis,
        settings=settings,
        builder=identity("builder") if settings.builder == "cloudbuild" else None,
        reader=identity("nodes"),
        gpu=gpu,
    )
    return Images("mlflow-dev", args)


@pytest.fixture(scope="module")
def record(deploy):
    return deploy(images)


def test_the_repository_has_the_name_that_makes_the_host_serve_it(deploy, record):
    assert record.one(REPOSITORY).inputs["repositoryId"] == "gcr.io"
    assert record.one(REPOSITORY).inputs["location"] == "us"

    european = deploy(lambda: images(host="eu.gcr.io")).one(REPOSITORY).inputs
    assert (european["repositoryId"], european["location"]) == ("eu.gcr.io", "europe")


def test_a_repository_that_exists_is_used_and_left_alone(deploy):
    record = deploy(lambda: images(repository="reuse"))

    assert record.all(REPOSITORY) == []
    assert {m.inputs["repository"] for m in record.all(MEMBER)} == {"gcr.io"}
    assert record.one(IMAGE, "mlflow-dev-tracking").inputs["image"].startswith("gcr.io/my-project/")


def test_recent_versions_are_kept_however_old(deploy):
    record = deploy(lambda: images(keep=7))
    policies = {p["action"]: p for p in record.one(REPOSITORY).inputs["cleanupPolicies"]}

    assert policies["KEEP"]["mostRecentVersions"] == {"keepCount": 7}
    assert policies["DELETE"]["condition"] == {"tagState": "ANY", "olderThan": "7776000s"}


def test_nodes_may_pull_and_no_more(record):
    rights = [
        (m.type, m.inputs["role"])
        for m in [*record.all(MEMBER), *record.all(BUCKET_MEMBER)]
        if m.inputs["member"].startswith("serviceAccount:nodes@")
    ]

    assert rights == [(MEMBER, "roles/artifactregistry.reader")]


def test_the_builder_pushes_here_and_reads_what_it_is_sent(record):
    rights = {
        (m.type, m.inputs["role"])
        for m in [*record.all(MEMBER), *record.all(BUCKET_MEMBER)]
        if m.inputs["member"].startswith("serviceAccount:builder@")
    }

    assert rights == {
        (MEMBER, "roles/artifactregistry.writer"),
        (BUCKET_MEMBER, "roles/storage.objectViewer"),
    }


def test_what_is_sent_to_the_builder_is_private_and_gone_after_a_day(record):
    bucket = record.one(BUCKET).inputs

    assert bucket["publicAccessPrevention"] == "enforced"
    assert bucket["lifecycleRules"] == [{"action": {"type": "Delete"}, "condition": {"age": 1}}]
    assert bucket["softDeletePolicy"] == {"retentionDurationSeconds": 0}
    assert record.one(IMAGE, "mlflow-dev-tracking").inputs["builder"] == {
        "project": "my-project",
        "account": "builder@my-project.iam.gserviceaccount.com",
        "staging": "mlflow-dev-builds-1a2b3c4",
    }


def test_with_docker_nothing_of_cloud_build_is_made(deploy):
    record = deploy(lambda: images(builder="docker"))

    assert record.all(BUCKET) == []
    assert "builder" not in record.one(IMAGE, "mlflow-dev-tracking").inputs


def test_a_build_waits_for_its_rights_and_pods_wait_for_theirs_to_pull(deploy):
    class Pod(pulumi.CustomResource):
        def __init__(self, image):
            super().__init__("test:index:Pod", "pod", {"image": image})

    record = deploy(lambda: Pod(images().tracking))
    build = record.one(IMAGE, "mlflow-dev-tracking")
    pod = record.one("test:index:Pod")

    for right in ("mlflow-dev-builder-pushes", "mlflow-dev-builder-reads"):
        assert any(r.name == right and record.waits_for(build, r) for r in record.resources)
    assert record.waits_for(build, record.one(REPOSITORY))
    assert not record.waits_for(build, record.one(MEMBER, "mlflow-dev-nodes-pull"))
    assert record.waits_for(pod, record.one(MEMBER, "mlflow-dev-nodes-pull"))
    assert record.waits_for(pod, build)


def test_both_images_are_named_by_digest_under_the_projects_name(deploy):
    found = {}

    def build():
        made = images()
        made.tracking.apply(lambda image: found.update(tracking=image))
        made.training.apply(lambda image: found.update(training=image))

    deploy(build)
    for part, image in found.items():
        assert image.startswith(f"gcr.io/my-project/mlflow-{part}@sha256:")


def test_training_without_gpus_leaves_rapids_out(deploy, record):
    def requirements(record):
        return record.one(IMAGE, "mlflow-dev-training").inputs["arguments"]["REQUIREMENTS"]

    assert requirements(record) == "requirements-gpu.txt"
    assert requirements(deploy(lambda: images(gpu=False))) == "requirements.txt"


def test_another_base_image_is_another_image(deploy, record):
    other = deploy(lambda: images(tracking_base="python:3.13.9-slim"))

    def build(record):
        return record.one(IMAGE, "mlflow-dev-tracking").inputs

    assert build(other)["arguments"] == {"BASE": "python:3.13.9-slim"}
    assert build(other)["tag"] != build(record)["tag"]


def test_two_stacks_of_a_project_share_what_is_the_same(record):
    build = record.one(IMAGE, "mlflow-dev-tracking").inputs

    assert "dev" not in build["image"]
    assert set(build) >= {"image", "tag", "folder"}
